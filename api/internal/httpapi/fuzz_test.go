package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
)

// FuzzDecoder: what is taken is one JSON object that encoding/json reads as the same, with known fields only and within
// the bounds; what is refused is refused by name.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte(goodCoupon()))
	f.Add([]byte(`{"name":"a","name":"b"}`))
	f.Add([]byte(`{"total_quantity":null,"stackable":true,"max_uses":1e3}`))
	f.Add([]byte(strings.Repeat("[", 200)))
	f.Add([]byte("{\"name\":\"\\ud800\"}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		var got contract.CouponCreate
		present, err := decode(r, &got, nullableOfCreate()...)
		if err != nil {
			fields := fieldErrors(err)
			if len(fields) == 0 {
				require.ErrorIs(t, err, errBodyTooLarge)
			}
			for _, field := range fields {
				require.NotEmpty(t, field.Detail)
				require.LessOrEqual(t, len(field.Field), maxNamed+len("…"))
			}
			return
		}
		require.True(t, json.Valid(body))
		require.True(t, utf8.Valid(body))
		require.LessOrEqual(t, len(present), 14)
		var plain contract.CouponCreate
		require.NoError(t, json.Unmarshal(body, &plain))
		plain.OpensAt, plain.ClosesAt = plain.OpensAt.UTC().Truncate(time.Microsecond), plain.ClosesAt.UTC().Truncate(time.Microsecond)
		require.Equal(t, plain, got)
		_, err = newCoupon(got)
		if err != nil {
			require.NotEmpty(t, fieldErrors(err))
		}
	})
}

// FuzzCursor: a cursor is ours, and then there is one spelling of it, or it is refused.
func FuzzCursor(f *testing.F) {
	f.Add(encodeCursor(couponsCursor, 7))
	f.Add(encodeCursor(failedCursor, coupon.MaxID))
	f.Add(issueCursor(IssueKey{AcceptedAt: gateNow, CouponID: 7, Nth: 1}))
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		if after, err := afterID(couponsCursor, &cursor); err == nil {
			require.Equal(t, cursor, encodeCursor(couponsCursor, after))
		}
		if key, err := afterIssue(&cursor); err == nil {
			require.Equal(t, cursor, issueCursor(key))
			require.LessOrEqual(t, len(cursor), maxCursor)
		}
	})
}

// FuzzParameters: whatever stands in path and query, the answer is one of the document and nothing is written.
func FuzzParameters(f *testing.F) {
	f.Add("/v1/coupons/7", "limit=5")
	f.Add("/v1/coupons/+7/issues", "nth=1&nth=1")
	f.Add("/v1/admin/coupons/7", "%zz")
	f.Add("/v1/admin/failed-events", "reason=over_cap&cursor=AAAA")
	a := newAPI(f)
	f.Fuzz(func(t *testing.T, path, query string) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch} {
			r := httptest.NewRequestWithContext(t.Context(), method, "http://api.test/", http.NoBody)
			r.URL.Path, r.URL.RawQuery = path, query
			w := httptest.NewRecorder()
			a.handler.ServeHTTP(w, r)
			require.Less(t, w.Code, http.StatusInternalServerError)
			require.NotEqual(t, http.StatusMovedPermanently, w.Code)
		}
		require.Zero(t, a.written(), "nobody has a token here")
	})
}

func TestCursorsSurviveTheirBounds(t *testing.T) {
	t.Parallel()
	for _, key := range []IssueKey{
		{AcceptedAt: time.UnixMicro(1).UTC(), CouponID: 1, Nth: 1},
		{AcceptedAt: time.UnixMicro(maxMicros).UTC(), CouponID: coupon.MaxID, Nth: coupon.MaxPerUserLimit},
	} {
		cursor := issueCursor(key)
		assert.LessOrEqual(t, len(cursor), maxCursor)
		back, err := afterIssue(&cursor)
		require.NoError(t, err)
		assert.Equal(t, key, back)
	}
}

// FuzzChange: a change that is taken asks for something, says why, and tells "unlimited" from "as it is".
func FuzzChange(f *testing.F) {
	f.Add([]byte(`{"reason":"more","total_quantity":null}`))
	f.Add([]byte(`{"reason":"more","total_quantity":5,"state":"open","opens_at":"2026-11-20T12:00:00Z"}`))
	f.Add([]byte(`{"reason":" ","state":"gone","closes_at":"9999-12-31T23:59:59.999999999Z"}`))
	f.Add([]byte(`{"reason":"x","total_quantity":-1,"state":null}`))
	f.Add([]byte(`{"state":"paused"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPatch, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		var got contract.CouponChange
		present, err := decode(r, &got, totalField)
		if err == nil {
			err = checkChange(got, present)
		}
		if err != nil {
			if len(fieldErrors(err)) == 0 {
				require.ErrorIs(t, err, errBodyTooLarge)
			}
			return
		}
		require.True(t, json.Valid(body))
		require.True(t, present["reason"] && len(present) > 1, "%s", body)
		require.NotEmpty(t, strings.TrimSpace(got.Reason))
		if !present[totalField] {
			require.Nil(t, got.TotalQuantity, "not asked for")
		}
		if got.TotalQuantity != nil {
			require.GreaterOrEqual(t, *got.TotalQuantity, int64(0))
		}
		var plain contract.CouponChange
		require.NoError(t, json.Unmarshal(body, &plain))
		require.Equal(t, plain.TotalQuantity, got.TotalQuantity)
		require.Equal(t, plain.Reason, got.Reason)
	})
}
