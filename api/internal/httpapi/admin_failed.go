package httpapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
)

// ListFailedEvents answers a page of failed events.
func (s *server) ListFailedEvents(c *gin.Context, params contract.ListFailedEventsParams) {
	after, err := afterID(failedCursor, params.Cursor)
	if err != nil {
		s.fail(c, err)
		return
	}
	limit := limitOf(params.Limit)
	reason, status := coupon.FailReason(or(params.Reason, "")), coupon.FailedStatus(or(params.Status, ""))
	events, err := s.Failed.FailedEvents(c.Request.Context(), after, limit+1, reason, status)
	if err != nil {
		s.fail(c, err)
		return
	}
	events, more := page(events, limit)
	answer := contract.FailedEventPage{Items: make([]contract.FailedEvent, len(events))}
	for i, e := range events {
		answer.Items[i] = failedDocument(e)
	}
	if more {
		next := encodeCursor(failedCursor, events[len(events)-1].ID)
		answer.NextCursor = &next
	}
	s.answers.document(c, http.StatusOK, answer)
}

// RetryFailedEvent has a failed event tried again by batch.
func (s *server) RetryFailedEvent(c *gin.Context, id contract.ID) {
	err := decodeNothing(c.Request)
	if err == nil {
		err = s.Failed.RequeueFailed(c.Request.Context(), id)
	}
	switch {
	case errors.Is(err, coupon.ErrNotFound):
		s.answers.problem(c, problem{code: coupon.CodeFailedNotFound})
	case err != nil:
		s.fail(c, err)
	default:
		s.answers.document(c, http.StatusAccepted, contract.RetryTaken{Id: id, Status: contract.Waiting})
	}
}

func failedDocument(e coupon.FailedEvent) contract.FailedEvent {
	doc := contract.FailedEvent{
		Id: e.ID, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, RecordKey: e.RecordKey,
		Reason: contract.FailReason(e.Reason), Error: e.Error, Attempts: e.Attempts,
		NextAttemptAt: timeUnlessZero(e.NextAttemptAt), Status: contract.FailedStatus(e.Status),
		CouponId: unlessZero(e.CouponID), UserId: unlessZero(e.UserID),
		CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(),
	}
	if utf8.Valid(e.Payload) {
		text := string(e.Payload)
		doc.Payload = &text
	} else {
		encoded := base64.StdEncoding.EncodeToString(e.Payload)
		doc.PayloadBase64 = &encoded
	}
	return doc
}
