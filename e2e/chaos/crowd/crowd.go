package crowd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/history"
)

const (
	// workers and pause bound the load: each worker asks, waits for the answer, and pauses 0 to 2 times that, so about
	// 100 questions a second in all.
	workers = 16
	pause   = 120 * time.Millisecond
	// users is how many different ones ask for a coupon; more than most caps, so that coupons are sold out.
	users = 2_000
	// patience is how long a user repeats one claim.
	patience = 15 * time.Second
	// remembered bounds the winners that are asked about again.
	remembered = 5_000
)

// Crowd is all clients together.
type Crowd struct {
	Catalog *Catalog

	client  *client
	resting atomic.Bool
	probes  atomic.Int64
	seed    uint64

	mu      sync.Mutex
	winners []history.Exchange // a ring
	next    int
	work    sync.WaitGroup
	end     context.CancelFunc
}

// New makes a crowd.
func New(apis []string, secret []byte, w *history.Writer, seed uint64) *Crowd {
	c := &Crowd{seed: seed}
	c.client = newClient(apis, secret, w, c.resting.Load)
	c.Catalog = newCatalog(c.client, c.chance(0))
	return c
}

func (c *Crowd) chance(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, 1000+stream)) //nolint:gosec // chance that can be repeated
}

// Open publishes the first coupons and lets the crowd in.
func (c *Crowd) Open(ctx context.Context) error {
	if err := c.Catalog.open(ctx); err != nil {
		return err
	}
	ctx, c.end = context.WithCancel(ctx)
	c.work.Go(func() { c.Catalog.run(ctx) })
	for i := range workers {
		chance := c.chance(uint64(i) + 1)
		c.work.Go(func() { c.worker(ctx, chance) })
	}
	return nil
}

// Leave ends the crowd's questions; those under way are answered.
func (c *Crowd) Leave() {
	if c.end != nil {
		c.end()
	}
	c.work.Wait()
}

// Rest marks all further questions as asked after everything had come to rest.
func (c *Crowd) Rest() { c.resting.Store(true) }

func (c *Crowd) worker(ctx context.Context, chance *rand.Rand) {
	// Questions under way are not cut off at the end: their answers belong to the history.
	asking := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		switch dice := chance.IntN(100); {
		case dice < 70:
			c.customer(ctx, asking, chance)
		case dice < 92:
			c.again(asking, chance)
		default:
			c.client.look(asking, chance.IntN(len(c.client.apis)), c.Catalog.pick(chance).id)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(chance.Int64N(int64(2 * pause)))):
		}
	}
}

// customer claims and, like a client of ours, repeats the claim as long as the outcome is not known; sometimes not, as
// somebody who walks away.
func (c *Crowd) customer(ctx, asking context.Context, chance *rand.Rand) {
	o := c.Catalog.pick(chance)
	user, key := fmt.Sprintf("u-%04d", chance.IntN(users)), ""
	if o.limit > 1 {
		user, key = fmt.Sprintf("u-%04d", chance.IntN(users/20)), fmt.Sprintf("k-%d", chance.IntN(6))
	}
	walksAway := chance.IntN(8) == 0
	began := time.Now()
	for try := chance.IntN(2); ; try++ {
		e := c.client.claim(asking, try%len(c.client.apis), o.id, user, key)
		if e.Promised() {
			c.remember(e)
		}
		if e.Definite() || walksAway || ctx.Err() != nil || time.Since(began) > patience {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(100+chance.IntN(300)) * time.Millisecond):
		}
	}
}

func (c *Crowd) remember(e history.Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.winners) < remembered {
		c.winners = append(c.winners, e)
		return
	}
	c.winners[c.next%remembered] = e
	c.next++
}

// again asks once more for what somebody was promised, or what became of it.
func (c *Crowd) again(ctx context.Context, chance *rand.Rand) {
	c.mu.Lock()
	n := len(c.winners)
	var e history.Exchange
	if n > 0 {
		e = c.winners[chance.IntN(n)]
	}
	c.mu.Unlock()
	api := chance.IntN(len(c.client.apis))
	switch {
	case n == 0:
	case chance.IntN(2) == 0:
		c.client.claim(ctx, api, e.Coupon, e.User, e.Key)
	default:
		c.client.mine(ctx, api, e.Coupon, e.User, e.Nth)
	}
}

// Probe claims a coupon at an api as a user whom nobody has seen. Coupon 0 is one without cap and end.
func (c *Crowd) Probe(ctx context.Context, api int, coupon int64) history.Exchange {
	if coupon == 0 {
		coupon = c.Catalog.base
	}
	return c.client.claim(ctx, api, coupon, fmt.Sprintf("probe-%d", c.probes.Add(1)), c.probeKey(coupon))
}

// probeKey is needed where the limit is above 1, and ignored elsewhere.
func (c *Crowd) probeKey(int64) string { return "probe" }

// Again claims for somebody who was promised a place; Mine asks what became of it.
func (c *Crowd) Again(ctx context.Context, api int, coupon int64, user, key string) history.Exchange {
	return c.client.claim(ctx, api, coupon, user, key)
}

// Mine asks what became of a claim.
func (c *Crowd) Mine(ctx context.Context, api int, coupon int64, user string, nth int) history.Exchange {
	return c.client.mine(ctx, api, coupon, user, nth)
}

// Look asks about a coupon.
func (c *Crowd) Look(ctx context.Context, api int, coupon int64) history.Exchange {
	return c.client.look(ctx, api, coupon)
}

// OnSale are up to n coupons that the crowd asks for now.
func (c *Crowd) OnSale(n int) []int64 { return c.Catalog.some(n) }

// APIs is their number.
func (c *Crowd) APIs() int { return len(c.client.apis) }
