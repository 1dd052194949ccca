package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/history"
	"github.com/firstcome/firstcome/e2e/chaos/schedule"
)

// askWithin is how long an admin goes on asking for a change. To undo one, as long as a fault may take to be healed.
const askWithin = 25 * time.Second

func termsKinds() []Kind {
	kind := func(name string, weight int, capped bool, f termsChanged) Kind {
		return Kind{seconds(choice(name, weight), 0.5, 4), claims, nothing, func(e Env, s schedule.Step) Fault {
			made := f
			made.env, made.pick, made.capped = e, s.Pick, capped
			return &made
		}}
	}
	return []Kind{
		kind("cap raised", 3, true, termsChanged{to: func(o Offer, _ int64, pick uint64) history.Terms {
			return total(o.Total + 1 + int64(pick>>8%60))
		}}),
		kind("cap lowered", 3, true, termsChanged{looks: true, to: func(o Offer, left int64, pick uint64) history.Terms {
			return total(max(o.Total-1-int64(pick>>8%uint64(max(left, 1))), 1))
		}}),
		kind("paused, reopened", 2, false, termsChanged{
			to:   func(Offer, int64, uint64) history.Terms { return history.Terms{State: "paused"} },
			back: reopened,
		}),
		kind("closed, reopened", 2, false, termsChanged{
			to:   func(Offer, int64, uint64) history.Terms { return history.Terms{State: "closed"} },
			back: reopened,
		}),
		kind("window narrowed, widened", 3, false, termsChanged{to: narrowed, back: widened}),
	}
}

func total(n int64) history.Terms { return history.Terms{Total: &n} }

// reopened is open again, with an end that is still to come.
func reopened(pick uint64) history.Terms {
	end := time.Now().UTC().Truncate(time.Microsecond).Add(time.Duration(60+pick>>16%60) * time.Second)
	return history.Terms{State: "open", ClosesAt: &end}
}

// narrowed ends the window now, or moves its beginning a minute away.
func narrowed(_ Offer, _ int64, pick uint64) history.Terms {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if pick>>8%2 == 0 {
		return history.Terms{ClosesAt: &now}
	}
	soon := now.Add(time.Minute)
	late := soon.Add(time.Hour)
	return history.Terms{OpensAt: &soon, ClosesAt: &late}
}

func widened(pick uint64) history.Terms {
	now := time.Now().UTC().Truncate(time.Microsecond)
	end := now.Add(time.Duration(60+pick>>16%60) * time.Second)
	if pick>>8%2 == 0 {
		return history.Terms{ClosesAt: &end}
	}
	begin := now.Add(-time.Second)
	return history.Terms{OpensAt: &begin, ClosesAt: &end}
}

// termsChanged is an admin who changes a coupon in the middle of its sale, and perhaps back.
type termsChanged struct {
	to     func(o Offer, left int64, pick uint64) history.Terms
	back   func(pick uint64) history.Terms // nil: it stays
	looks  bool                            // asks how many places are left before
	capped bool

	env     Env
	pick    uint64
	offer   Offer
	taken   bool
	changed bool
}

func (f *termsChanged) Coupon() int64 { return f.offer.ID }

// Over: who is answered that the coupon is shut is not over a reopening.
func (f *termsChanged) Over(e history.Exchange) bool {
	shut := e.Code == "paused" || e.Code == "closed" || e.Code == "not_open"
	return e.Definite() && (!shut || f.back == nil)
}

func (f *termsChanged) Inject(ctx context.Context) (err error) {
	if f.offer, f.taken = f.env.Admin.Take(f.pick, f.capped); !f.taken {
		return errors.New("no such coupon is on sale")
	}
	var left int64
	if f.looks {
		if left, err = f.env.Admin.Remaining(ctx, f.offer); err != nil {
			return err
		}
		if left < 1 {
			return fmt.Errorf("coupon %d has no place left to take away", f.offer.ID)
		}
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if err = f.env.Admin.Change(asking, f.offer, f.to(f.offer, left, f.pick)); err != nil {
		return err
	}
	f.changed = true
	return nil
}

func (f *termsChanged) Evidence(context.Context) (string, error) {
	return fmt.Sprintf("coupon %d: answered 200", f.offer.ID), nil
}

func (f *termsChanged) Heal(ctx context.Context) error {
	if !f.taken {
		return nil
	}
	defer f.env.Admin.Release(f.offer)
	if f.back == nil {
		return nil
	}
	// Also when the first change failed: it may still come.
	return f.env.Admin.Change(ctx, f.offer, f.back(f.pick))
}
