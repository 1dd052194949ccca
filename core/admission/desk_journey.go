package admission

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// journey is one place on its way from the gate to the journal and back (rules 7 and 8). It goes on when nobody waits
// for it any more: an acknowledgement however late is worth a confirmation, which spares the sweeper a second record.
type journey struct {
	ref    coupon.Ref
	place  coupon.Place
	asker  context.Context // for its values only, for example the trace
	done   chan error      // holds one: a journey never waits for its asker
	orphan atomic.Bool     // the asker has gone; such a journey is not used again
}

// promise journals the place and has it confirmed. nil: it is in the journal and stands. Any error: unknown, and
// nothing is undone.
func (d *Desk) promise(v visit, ref coupon.Ref, place coupon.Place) error {
	if d.journeys.Add(1) > journeysMax {
		d.journeys.Add(-1)
		return ErrBusy
	}
	j := d.spare.Get().(*journey) // the pool holds nothing else
	j.ref, j.place, j.asker = ref, place, v.asker
	d.busy.Add(1) // the claim is counted already, so Close cannot have stopped waiting
	go d.travel(j)
	var over error
	select {
	case err := <-j.done:
		j.ref, j.place, j.asker = coupon.Ref{}, coupon.Place{}, nil
		d.spare.Put(j)
		return err
	case <-v.asker.Done():
		over = v.asker.Err()
	case <-v.by.Done():
		over = v.by.Err()
	}
	j.orphan.Store(true)
	return fmt.Errorf("coupon %d: place %d is neither journaled nor confirmed in time: %w", place.CouponID, place.Seq, over)
}

func (d *Desk) travel(j *journey) {
	defer d.busy.Done()
	defer d.journeys.Add(-1)
	var ctx context.Context = valued{Context: d.lateBy.next(), values: j.asker} // boxed once
	began := time.Now()
	err := d.deps.Journal.Append(ctx, j.place)
	d.metrics.appended(time.Since(began), err)
	if err != nil {
		err = fmt.Errorf("journal place %d of coupon %d: %w", j.place.Seq, j.place.CouponID, err)
	} else {
		crashpoint.At("claim.journaled")
		if err = d.confirm(ctx, j.ref, j.place); err == nil {
			crashpoint.At("claim.confirmed")
		}
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
	stands, err := d.confirms[d.lane(ref.Tag)].Do(ctx, confirmation{ref: ref, place: place})
	if missesCoupons(err) {
		fresh, ferr := d.fresh(ctx, ref)
		if ferr != nil {
			return fmt.Errorf("look up the coupons of %s again: %w", ref.Tag, ferr)
		}
		stands, err = d.confirms[d.lane(ref.Tag)].Do(ctx, confirmation{ref: fresh, place: place})
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
