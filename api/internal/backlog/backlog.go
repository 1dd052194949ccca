// Package backlog counts what was accepted and is not issued yet: the promises that the consumers still have to write.
//
// Only gates and ledger together know it, and an api is where both are at hand. The journal's lag would be cheaper, but
// it counts records, duplicates and rejected ones among them, and says nothing of a consumer that marked too much. One
// api at a time does it, by a lease; the others show nothing.
package backlog

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// Every is the pause between two counts: a graph needs no more, and a count of 10,000 coupons costs Redis about
	// 0.2 s of its one thread, the database as much.
	Every = 15 * time.Second
	// lease outlasts a pause and a count; when its holder is gone the next one takes over after it.
	lease = 4 * Every
	// leaseName names the work.
	leaseName = "backlog"
	// pageSize and pagePause pace the count, so that no claim waits noticeably behind it: a page of looks takes Redis
	// about 5 ms.
	pageSize  = 250
	pagePause = 100 * time.Millisecond
	// pageTimeout bounds the calls for one page.
	pageTimeout = 5 * time.Second
)

// Gates looks at coupons; the answers are in the order of refs.
type Gates interface {
	Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer
}

// Live lists the coupons whose gates are in use, by ascending id.
type Live interface {
	LiveRefs(ctx context.Context, afterID int64, limit int) ([]coupon.Ref, error)
}

// Ledger has the coupons with their issued counts, and the lease.
type Ledger interface {
	Coupons(ctx context.Context, afterID int64, limit int) ([]coupon.Coupon, error)
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
}

// Deps are what a Counter works with; all are needed, except Every.
type Deps struct {
	Gates      Gates
	Live       Live
	Ledger     Ledger
	Owner      string // in the lease: different for each process
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Every      time.Duration // 0: Every
}

// Counter counts from time to time.
type Counter struct {
	deps    Deps
	waiting prometheus.Gauge
	unknown prometheus.Gauge
}

// New makes a Counter; Run runs it.
func New(deps Deps) *Counter {
	if deps.Every <= 0 {
		deps.Every = Every
	}
	c := &Counter{
		deps: deps,
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firstcome_accepted_not_issued",
			Help: "Places that are in the journal and not in the ledger, over all coupons on sale; NaN when it could not be told or another api tells it.",
		}),
		unknown: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firstcome_accepted_not_issued_left_out_coupons",
			Help: "Coupons that the count left out, since their gates are not sound or did not answer.",
		}),
	}
	deps.Registerer.MustRegister(c.waiting, c.unknown)
	c.waiting.Set(math.NaN())
	return c
}

// Run counts until ctx ends and returns why it did.
func (c *Counter) Run(ctx context.Context) error {
	for {
		mine, err := c.deps.Ledger.Acquire(ctx, leaseName, c.deps.Owner, max(lease, 4*c.deps.Every))
		if err == nil && mine {
			err = c.count(ctx)
		}
		if err != nil || !mine {
			c.waiting.Set(math.NaN())
			c.unknown.Set(0)
		}
		if err != nil && ctx.Err() == nil {
			c.deps.Log.Debug("what is accepted and not issued could not be counted", "error", err)
		}
		if err := pause(ctx, c.deps.Every); err != nil {
			return err
		}
	}
}

// count sums over all live coupons, a page at a time.
func (c *Counter) count(ctx context.Context) error {
	var sum total
	after := int64(0)
	for {
		last, err := c.page(ctx, after, &sum)
		if err != nil {
			return err
		}
		if last == 0 {
			break
		}
		after = last
		if err := pause(ctx, pagePause); err != nil {
			return err
		}
	}
	c.waiting.Set(float64(sum.waiting))
	c.unknown.Set(float64(sum.leftOut))
	return nil
}

type total struct{ waiting, leftOut int64 }

// page adds one page and returns its last coupon; 0: there are no more. The gates are asked first: what is issued in
// between is then missing from both sides, and not counted as a promise.
func (c *Counter) page(ctx context.Context, after int64, sum *total) (last int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	refs, err := c.deps.Live.LiveRefs(ctx, after, pageSize)
	if err != nil || len(refs) == 0 {
		return 0, err
	}
	views := c.deps.Gates.Views(ctx, refs)
	last = refs[len(refs)-1].CouponID
	issued, err := c.issued(ctx, after, last)
	if err != nil {
		return 0, err
	}
	for i, v := range views {
		rows, there := issued[refs[i].CouponID]
		if v.Err != nil || !there {
			sum.leftOut++
			continue
		}
		sum.waiting += max(v.View.Taken-v.View.Pending-rows, 0)
	}
	return last, nil
}

// issued are the rows of the coupons with ids above after, up to last.
func (c *Counter) issued(ctx context.Context, after, last int64) (map[int64]int64, error) {
	rows := map[int64]int64{}
	for after < last {
		coupons, err := c.deps.Ledger.Coupons(ctx, after, pageSize)
		if err != nil {
			return nil, err
		}
		if len(coupons) == 0 {
			return rows, errors.New("a live coupon is not in the ledger")
		}
		for _, found := range coupons {
			rows[found.ID] = found.IssuedCount
			after = found.ID
		}
	}
	return rows, nil
}

// pause waits, or returns why it need not.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
