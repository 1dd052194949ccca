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

	began     time.Time
	journaled func(error) // made once, since a method value is made anew each time
	confirmed func(stands bool, err error)
}

func newJourney(d *Desk) *journey {
	j := &journey{done: make(chan error, 1)}
	j.journaled = func(err error) { d.journaled(j, err) }
	j.confirmed = func(stands bool, err error) { d.confirmed(j, stands, err) }
	return j
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
	if !d.send(j) {
		go d.travel(j)
	}
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

// send begins a journey that needs no goroutine of its own: the journal's and the gate's workers carry it on. false: the
// journal cannot take it at once.
func (d *Desk) send(j *journey) bool {
	j.began = time.Now()
	return d.deps.Sender != nil && d.deps.Sender.Send(j.asker, j.place, j.journaled)
}

// journaled goes on where send left off.
func (d *Desk) journaled(j *journey, err error) {
	if err = d.appended(j, err); err == nil {
		err = refused(d.confirms[d.lane(j.ref.Tag)].Submit(confirmation{ref: j.ref, place: j.place}, j.confirmed))
	}
	if err != nil {
		d.arrive(j, err)
	}
}

func (d *Desk) confirmed(j *journey, stands bool, err error) {
	if missesCoupons(err) { // it takes a look at the ledger
		go func() { d.arrive(j, d.confirm(d.lateBy.next(), j.ref, j.place)) }()
		return
	}
	d.arrive(j, confirmedAs(stands, err))
}

// travel is a journey that waits for the journal.
func (d *Desk) travel(j *journey) {
	var ctx context.Context = valued{Context: d.lateBy.next(), values: j.asker} // boxed once
	err := d.appended(j, d.deps.Journal.Append(ctx, j.place))
	if err == nil {
		err = d.confirm(ctx, j.ref, j.place)
	}
	d.arrive(j, err)
}

// appended is after the journal's answer.
func (d *Desk) appended(j *journey, err error) error {
	d.metrics.appended(time.Since(j.began), err)
	if err != nil {
		return fmt.Errorf("journal place %d of coupon %d: %w", j.place.Seq, j.place.CouponID, err)
	}
	crashpoint.At("claim.journaled")
	return nil
}

// arrive ends a journey. It does not touch it after having told its asker, who uses it again.
func (d *Desk) arrive(j *journey, err error) {
	defer d.busy.Done()
	defer d.journeys.Add(-1)
	if err == nil {
		crashpoint.At("claim.confirmed")
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
	return confirmedAs(stands, err)
}

// confirmedAs is what the gate's answer is worth.
func confirmedAs(stands bool, err error) error {
	switch {
	case err != nil:
		return refused(err)
	case !stands:
		return ErrUnconfirmed
	default:
		return nil
	}
}
