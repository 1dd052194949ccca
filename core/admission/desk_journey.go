package admission

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// journey is one place on its way from the gate to the journal and back (rules 7 and 8). It goes on when nobody waits
// for it any more: an acknowledgement however late is worth a confirmation, which spares the sweeper a second record.
type journey struct {
	ref    coupon.Ref
	place  coupon.Place
	asker  context.Context //nolint:containedctx // for its values only, for example the trace
	done   chan error      // holds one: a journey never waits for its asker
	orphan atomic.Bool     // the asker has gone; such a journey is not used again
}

// promise journals the place and has it confirmed. nil: it is in the journal and stands. Any error: unknown, and
// nothing is undone.
func (d *Desk) promise(ctx context.Context, ref coupon.Ref, place coupon.Place) error {
	if d.journeys.Add(1) > journeysMax {
		d.journeys.Add(-1)
		return ErrBusy
	}
	j := d.spare.Get().(*journey) //nolint:forcetypeassert // the pool holds nothing else
	j.ref, j.place, j.asker = ref, place, ctx
	d.busy.Add(1) // the claim is counted already, so Close cannot have stopped waiting
	go d.travel(j)
	select {
	case err := <-j.done:
		j.ref, j.place, j.asker = coupon.Ref{}, coupon.Place{}, nil
		d.spare.Put(j)
		return err
	case <-ctx.Done():
		j.orphan.Store(true)
		return fmt.Errorf("coupon %d: place %d is neither journaled nor confirmed in time: %w", place.CouponID, place.Seq, ctx.Err())
	}
}

func (d *Desk) travel(j *journey) {
	defer d.busy.Done()
	defer d.journeys.Add(-1)
	life, cancel := context.WithTimeout(d.life, lateTimeout)
	defer cancel()
	ctx := valued{Context: life, values: j.asker}

	began := time.Now()
	err := d.deps.Journal.Append(ctx, j.place)
	d.metrics.appended(time.Since(began), err)
	if err != nil {
		err = fmt.Errorf("journal place %d of coupon %d: %w", j.place.Seq, j.place.CouponID, err)
	} else {
		err = d.confirm(ctx, j.ref, j.place)
	}
	if j.orphan.Load() {
		d.metrics.wasLate(err)
		if err != nil {
			d.report(err)
			d.late.warn("a place stays pending after its claim was answered unavailable; the sweeper takes it",
				"coupon_id", j.place.CouponID, "seq", j.place.Seq, "error", err)
		}
	}
	j.done <- err
}

// confirm asks the gate whether the place stands, once more with fresh siblings when that is what the gate misses.
func (d *Desk) confirm(ctx context.Context, ref coupon.Ref, place coupon.Place) error {
	stands, err := d.confirms.Do(ctx, confirmation{ref: ref, place: place})
	if missesCoupons(err) {
		fresh, ferr := d.fresh(ctx, ref)
		if ferr != nil {
			return fmt.Errorf("look up the coupons of %s again: %w", ref.Tag, ferr)
		}
		stands, err = d.confirms.Do(ctx, confirmation{ref: fresh, place: place})
	}
	switch {
	case err != nil:
		return refused(err)
	case !stands:
		return ErrUnconfirmed
	default:
		return nil
	}
}

// valued is a context that ends with one context and has the values of another. Its own come first, so that the
// standard library recognises it and derives from it without a goroutine.
type valued struct {
	context.Context
	values context.Context //nolint:containedctx // that is what it is for
}

func (v valued) Value(key any) any {
	if own := v.Context.Value(key); own != nil {
		return own
	}
	return v.values.Value(key)
}
