package chaos

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/crowd"
	"github.com/firstcome/firstcome/e2e/chaos/faults"
	"github.com/firstcome/firstcome/e2e/chaos/history"
	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
)

const (
	// askEvery is the pause between two looks whether the system is over a fault: the grain of the times told.
	askEvery = 50 * time.Millisecond
	// witnesses are the coupons on sale that are asked after a fault that is about no coupon in particular.
	witnesses = 3
	// couriers are the users whose claims have to become rows: with 12 partitions on two consumers, one in 64 runs of 6
	// would miss the half that a dead consumer had.
	couriers = 8
)

// watch recognises that the system is over a fault.
type watch struct {
	crowd *crowd.Crowd
	world *world.World
}

// recovered waits for it and returns when it was; the zero time: not within recoverWithin.
func (w *watch) recovered(ctx context.Context, by faults.Recovery, s schedule.Step, fault faults.Fault) time.Time {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	var asks []func(context.Context) bool
	switch by {
	case faults.ByClaims:
		asks = w.claims(s, fault)
	case faults.ByRows:
		for i := range couriers {
			asks = append(asks, w.row(i%w.crowd.APIs()))
		}
	case faults.ByReady:
		name, _, _ := strings.Cut(s.Target, ">")
		role := w.world.Role(name)
		asks = append(asks, func(ctx context.Context) bool { return role.Ready(ctx) == nil })
	}
	var all sync.WaitGroup
	ends := make([]time.Time, len(asks))
	for i, ask := range asks {
		all.Go(func() { ends[i] = until(ctx, ask) })
	}
	all.Wait()
	var last time.Time
	for _, end := range ends {
		if end.IsZero() {
			return time.Time{}
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}

func until(ctx context.Context, ask func(context.Context) bool) time.Time {
	for {
		if ask(ctx) {
			return time.Now()
		}
		select {
		case <-ctx.Done():
			return time.Time{}
		case <-time.After(askEvery):
		}
	}
}

// claims asks for the coupon that the fault was about, else for some on sale, at the api it was about, else at all.
func (w *watch) claims(s schedule.Step, fault faults.Fault) (asks []func(context.Context) bool) {
	coupons, over := append(w.crowd.OnSale(witnesses), 0), history.Exchange.Definite
	if about, ok := fault.(faults.Affected); ok {
		coupons, over = []int64{about.Coupon()}, about.Over
	}
	for api := range w.crowd.APIs() {
		if only, is := apiOf(s.Target); is && only != api {
			continue
		}
		for _, coupon := range coupons {
			asks = append(asks, func(ctx context.Context) bool { return over(w.crowd.Probe(ctx, api, coupon)) })
		}
	}
	return asks
}

// apiOf is the index of the api that a target names: api-1, client>api-1, api-1>redis.
func apiOf(target string) (int, bool) {
	for part := range strings.SplitSeq(target, ">") {
		if text, is := strings.CutPrefix(part, "api-"); is {
			n, err := strconv.Atoi(text)
			return n - 1, err == nil
		}
	}
	return 0, false
}

// row claims until it is promised a place, and then asks until the place is a row.
func (w *watch) row(api int) func(context.Context) bool {
	user, nth := "", 0
	return func(ctx context.Context) bool {
		if user == "" {
			e := w.crowd.Probe(ctx, api, 0)
			if !e.Promised() {
				return false
			}
			user, nth = e.User, e.Nth
		}
		return w.crowd.Mine(ctx, api, w.crowd.Catalog.Base(), user, nth).Issue == "issued"
	}
}
