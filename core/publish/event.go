package publish

import (
	"context"
	"errors"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// Event publishes an event under a new id and opens its gate, empty: coupons join it. coupon.ErrNameTaken and
// FieldErrors mean that nothing was stored; a KeptError that the event is published and its gate not open yet.
func (p *Publisher) Event(ctx context.Context, e coupon.Event) (coupon.Event, error) {
	if err := validate(e); err != nil {
		return coupon.Event{}, err
	}
	err := coupon.ErrIDTaken
	for round := 0; round < idRounds && errors.Is(err, coupon.ErrIDTaken); round++ {
		e.ID = coupon.NewID(time.Now())
		err = p.book.CreateEvent(ctx, e)
	}
	if err != nil {
		return coupon.Event{}, err
	}
	ctx, cancel := goOn(ctx)
	defer cancel()
	opening := coupon.Opening{Mark: coupon.Mark{Tag: coupon.EventTag(e.ID), Epoch: firstEpoch}, Event: true}
	return e, p.open(ctx, []coupon.Opening{opening})[0]
}

// firstEpoch is the epoch with which a gates row begins.
const firstEpoch = 1

func validate(e coupon.Event) error {
	var errs []error
	if !coupon.ValidName(e.Name) {
		errs = append(errs, &coupon.FieldError{Field: "name", Detail: "must have 1 to 100 characters and no control characters"})
	}
	for _, edge := range []struct {
		field string
		at    time.Time
	}{{"starts_at", e.StartsAt}, {"ends_at", e.EndsAt}} {
		if year := edge.at.UTC().Year(); year < 2000 || year > 9999 {
			errs = append(errs, &coupon.FieldError{Field: edge.field, Detail: "must be a time between the years 2000 and 9999"})
		}
	}
	if !e.StartsAt.Before(e.EndsAt) {
		errs = append(errs, &coupon.FieldError{Field: "ends_at", Detail: "must be later than starts_at"})
	}
	return errors.Join(errs...)
}
