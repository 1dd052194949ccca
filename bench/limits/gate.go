package limits

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Place asks the gate for places as the desk does, 128 users a call and 256 together, and confirms them meanwhile, as the
// desk does while it asks for the next. Nothing stays pending. It returns how long that took.
func Place(ctx context.Context, gate admission.Gate, ref coupon.Ref, users []string) (time.Duration, error) {
	const together = 2 * admission.MaxBatch
	admitted := make(chan []coupon.Place, 1)
	confirmed := make(chan error, 1)
	began := time.Now()
	go func() { confirmed <- confirmAll(ctx, gate, ref, admitted) }()
	var failed error
	for group := range slices.Chunk(users, together) {
		places, err := admit(ctx, gate, ref, group)
		if err != nil {
			failed = err
			break
		}
		admitted <- places
	}
	close(admitted)
	err := errors.Join(failed, <-confirmed)
	return time.Since(began), err
}

func admit(ctx context.Context, gate admission.Gate, ref coupon.Ref, users []string) ([]coupon.Place, error) {
	var calls []admission.Call
	for part := range slices.Chunk(users, admission.MaxBatch) {
		asks := make([]admission.Ask, len(part))
		for i, user := range part {
			asks[i].UserID = user
		}
		calls = append(calls, admission.Call{Ref: ref, Asks: asks})
	}
	places := make([]coupon.Place, 0, len(users))
	for _, answer := range gate.Admit(ctx, calls) {
		if answer.Err != nil {
			return nil, answer.Err
		}
		for _, d := range answer.Decisions {
			if d.Verdict != coupon.Admitted {
				return nil, fmt.Errorf("wrong outcome: the gate's verdict on a new user is %d", d.Verdict)
			}
			places = append(places, coupon.Place{
				CouponID: ref.CouponID, UserID: users[len(places)], Nth: d.Nth, Seq: d.Seq, Epoch: answer.Epoch, AcceptedAt: d.AcceptedAt,
			})
		}
	}
	return places, nil
}

// confirmAll confirms groups until there are no more. It takes them all, also behind an error, so that nobody waits for it.
func confirmAll(ctx context.Context, gate admission.Gate, ref coupon.Ref, admitted <-chan []coupon.Place) (failed error) {
	for places := range admitted {
		var calls []admission.ConfirmCall
		for part := range slices.Chunk(places, admission.MaxBatch) {
			calls = append(calls, admission.ConfirmCall{Ref: ref, Places: part})
		}
		for _, answer := range gate.Confirm(ctx, calls) {
			failed = errors.Join(failed, answer.Err)
			if answer.Err == nil && slices.Contains(answer.Stands, false) {
				failed = errors.Join(failed, errors.New("wrong outcome: the gate does not confirm a place it has just given"))
			}
		}
	}
	return failed
}

// PlaceOneByOne asks for one place a call, over many connections at the same time, and returns how long that took. The
// places are confirmed afterwards, unmeasured.
func PlaceOneByOne(ctx context.Context, gate admission.Gate, ref coupon.Ref, users []string, connections int) (time.Duration, error) {
	all := make([][]coupon.Place, connections)
	errs := make([]error, connections)
	var group sync.WaitGroup
	began := time.Now()
	for c := range connections {
		group.Go(func() {
			for i := c; i < len(users) && errs[c] == nil; i += connections {
				var places []coupon.Place
				places, errs[c] = admit(ctx, gate, ref, users[i:i+1])
				all[c] = append(all[c], places...)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	admitted := make(chan []coupon.Place, connections)
	for _, places := range all {
		admitted <- places
	}
	close(admitted)
	return took, errors.Join(errors.Join(errs...), confirmAll(ctx, gate, ref, admitted))
}
