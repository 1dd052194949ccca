package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/faults"
	"github.com/firstcome/firstcome/e2e/chaos/history"
)

const (
	// onSale is how many coupons the crowd asks for at a time; the oldest makes room for a new one.
	onSale = 8
	// publishEvery is the pause between two publications, so that there is always something to win.
	publishEvery = 4 * time.Second
	// longSale is a window that does not end during the run.
	longSale = 48 * time.Hour
)

// offer is a coupon on sale.
type offer struct {
	id, event int64
	limit     int
	total     int64
	taken     bool // by a fault
}

func (o *offer) tag() string {
	if o.event != 0 {
		return fmt.Sprintf("e%d", o.event)
	}
	return fmt.Sprintf("c%d", o.id)
}

// Catalog is what is on sale, and the admins' hands.
type Catalog struct {
	client *client
	vendor int64
	base   int64 // a coupon without cap and end, for probes

	mu     sync.Mutex
	chance *rand.Rand
	offers []*offer // on sale now, the oldest first
	all    []int64
	names  int
}

func newCatalog(c *client, chance *rand.Rand) *Catalog { return &Catalog{client: c, chance: chance} }

// open creates the vendor and the first coupons.
func (c *Catalog) open(ctx context.Context) (err error) {
	if c.vendor, err = c.client.create(ctx, 0, "/v1/admin/vendors", map[string]any{"name": "chaos"}); err != nil {
		return err
	}
	for range 3 {
		if err = c.publishNext(ctx); err != nil {
			return err
		}
	}
	c.base, err = c.publish(ctx, history.Unlimited, 1, 0, longSale)
	return err
}

// publishNext publishes something new of a random kind.
func (c *Catalog) publishNext(ctx context.Context) error {
	c.mu.Lock()
	dice, size := c.chance.IntN(10), int64(c.chance.IntN(200))
	window := time.Duration(40+c.chance.IntN(140)) * time.Second
	if c.chance.IntN(3) == 0 {
		window = longSale
	}
	c.names++
	name := c.names
	c.mu.Unlock()
	var err error
	switch {
	case dice < 4: // sold out within seconds
		_, err = c.publish(ctx, 3+size/5, 1, 0, window)
	case dice < 6:
		_, err = c.publish(ctx, 100+size, 1, 0, window)
	case dice < 7:
		_, err = c.publish(ctx, history.Unlimited, 1, 0, window)
	case dice < 8:
		_, err = c.publish(ctx, 20+size/2, 3, 0, window)
	default:
		var event int64
		now := time.Now().UTC()
		event, err = c.client.create(ctx, name%2, "/v1/admin/events", map[string]any{
			"name": fmt.Sprintf("event %d", name), "starts_at": now.Format(time.RFC3339),
			"ends_at": now.Add(longSale).Format(time.RFC3339),
		})
		for range 2 {
			if err == nil {
				_, err = c.publish(ctx, 10+size/3, 1, event, window)
			}
		}
	}
	return err
}

// publish publishes a coupon and puts it on sale. Without a definite answer there may be a coupon that nobody knows of.
func (c *Catalog) publish(ctx context.Context, total int64, limit int, event int64, window time.Duration) (int64, error) {
	c.mu.Lock()
	c.names++
	name, api := c.names, c.names%len(c.client.apis)
	c.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Microsecond)
	begin, end := now.Add(-time.Second), now.Add(window)
	terms := history.Terms{Total: &total, OpensAt: &begin, ClosesAt: &end, Limit: limit, Event: event}
	body := map[string]any{
		"name": fmt.Sprintf("coupon %d", name), "vendor_id": c.vendor, "per_user_limit": limit,
		"opens_at": begin.Format(time.RFC3339Nano), "closes_at": end.Format(time.RFC3339Nano),
	}
	if total != history.Unlimited {
		body["total_quantity"] = total
	}
	if event != 0 {
		body["event_id"] = event
	}
	id, e := c.client.publish(ctx, api, body, terms)
	if id == 0 {
		return 0, fmt.Errorf("publish: %d %s%s", e.Status, e.Code, e.Err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, id)
	if len(c.offers) >= onSale {
		if i := slices.IndexFunc(c.offers, func(o *offer) bool { return !o.taken }); i >= 0 {
			c.offers = slices.Delete(c.offers, i, i+1)
		}
	}
	c.offers = append(c.offers, &offer{id: id, event: event, limit: limit, total: total})
	return id, nil
}

// run publishes until the context ends.
func (c *Catalog) run(ctx context.Context) {
	ticks := time.NewTicker(publishEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			_ = c.publishNext(ctx) // while something is down nothing new can be published; the history says so
		}
	}
}

// pick is a coupon on sale at random.
func (c *Catalog) pick(chance *rand.Rand) offer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.offers[chance.IntN(len(c.offers))]
}

// some are up to n coupons on sale.
func (c *Catalog) some(n int) []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []int64
	for i := len(c.offers) - 1; i >= 0 && len(ids) < n; i-- {
		ids = append(ids, c.offers[i].id)
	}
	return ids
}

// Take takes a coupon for a fault.
func (c *Catalog) Take(pick uint64, capped bool) (faults.Offer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var free []*offer
	for _, o := range c.offers {
		if !o.taken && o.id != c.base && (!capped || o.total != history.Unlimited) {
			free = append(free, o)
		}
	}
	if len(free) == 0 {
		return faults.Offer{}, false
	}
	// Those published last have places left.
	o := free[len(free)-1-int(pick%uint64(min(len(free), 4)))]
	o.taken = true
	return faults.Offer{ID: o.id, Tag: o.tag(), Total: o.total}, true
}

// Release gives it back.
func (c *Catalog) Release(f faults.Offer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.offers {
		if o.id == f.ID {
			o.taken = false
		}
	}
}

// Change repeats the change until there is a definite answer.
func (c *Catalog) Change(ctx context.Context, f faults.Offer, t history.Terms) error {
	for try := 0; ; try++ {
		e := c.client.change(ctx, try%len(c.client.apis), f.ID, t)
		switch {
		case e.Status == 200:
			c.changed(f.ID, t)
			return nil
		case e.Definite() && e.Code != "superseded":
			return fmt.Errorf("coupon %d: the admin was answered %d %s", f.ID, e.Status, e.Code)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("coupon %d: the admin got no answer: %w", f.ID, ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (c *Catalog) changed(id int64, t history.Terms) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.offers {
		if o.id == id && t.Total != nil {
			o.total = *t.Total
		}
	}
}

// Remaining asks how many places are left.
func (c *Catalog) Remaining(ctx context.Context, f faults.Offer) (int64, error) {
	e := c.client.look(ctx, int(f.ID)%len(c.client.apis), f.ID)
	if e.Remaining == nil {
		return 0, errors.Join(fmt.Errorf("coupon %d: no number of places left: %d %s%s", f.ID, e.Status, e.Code, e.Err))
	}
	return *e.Remaining, nil
}

// All are the coupons that were published for sure.
func (c *Catalog) All() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// Base is the coupon without cap and end.
func (c *Catalog) Base() int64 { return c.base }
