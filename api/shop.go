package api

import (
	"context"
	"errors"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/support/batching"
)

const (
	// publishTogether is how many coupons share one transaction and one round of gate calls: about 15 ms of each, far
	// from the second after which a call to the gate is given up, also on the embedded Redis of a busy machine.
	publishTogether = 128
	// publishWaiting bounds the coupons that wait for that; more are answered 503.
	publishWaiting = 4096
	// publishAtOnce is how many such groups are under way: a group with an event whose gate is shut waits for it, and
	// the others should not.
	publishAtOnce = 4
	// commandsAtOnce and commandsWaiting bound changes and events, which are few.
	commandsAtOnce  = 8
	commandsWaiting = 256
	// shopTimeout is for a group or a command: all that publishing bounds by itself, and some.
	shopTimeout = 20 * time.Second
	// vendorRounds bounds how often an id is made anew; each is taken with a chance far below one in a thousand.
	vendorRounds = 6
)

// vendors keeps vendors; ledger.Book.
type vendors interface {
	CreateVendor(ctx context.Context, id int64, name string) error
}

// shop takes publications and changes. What it has taken it brings to an end, also when whoever asked does not wait any
// longer. Coupons that come in at the same time are published together.
type shop struct {
	vendors   vendors
	publisher *publish.Publisher
	coupons   *batching.Batcher[coupon.Coupon, coupon.Coupon]
	commands  *batching.Batcher[command, struct{}]
}

// command is an event or a change.
type command func(ctx context.Context)

func newShop(v vendors, p *publish.Publisher) *shop {
	return &shop{
		vendors: v, publisher: p,
		coupons: batching.New(publishAll(p), batching.Options{
			Max: publishTogether, Queue: publishWaiting, Workers: publishAtOnce, Timeout: shopTimeout,
		}),
		commands: batching.New(runAll, batching.Options{
			Max: 1, Queue: commandsWaiting, Workers: commandsAtOnce, Timeout: shopTimeout,
		}),
	}
}

func publishAll(p *publish.Publisher) func(context.Context, []coupon.Coupon) []batching.Result[coupon.Coupon] {
	return func(ctx context.Context, coupons []coupon.Coupon) []batching.Result[coupon.Coupon] {
		results := make([]batching.Result[coupon.Coupon], len(coupons))
		for i, r := range p.Coupons(ctx, coupons) {
			results[i] = batching.Result[coupon.Coupon]{Answer: r.Coupon, Err: r.Err}
		}
		return results
	}
}

func runAll(ctx context.Context, commands []command) []batching.Result[struct{}] {
	for _, run := range commands {
		run(ctx)
	}
	return make([]batching.Result[struct{}], len(commands))
}

// Vendor creates a vendor under a new id.
func (s *shop) Vendor(ctx context.Context, name string) (id int64, err error) {
	err = coupon.ErrIDTaken
	for round := 0; round < vendorRounds && errors.Is(err, coupon.ErrIDTaken); round++ {
		id = coupon.NewID(time.Now())
		err = s.vendors.CreateVendor(ctx, id, name)
	}
	return id, err
}

// Event creates an event; see publish.Publisher.Event.
func (s *shop) Event(ctx context.Context, e coupon.Event) (coupon.Event, error) {
	return do(ctx, s.commands, func(ctx context.Context) (coupon.Event, error) { return s.publisher.Event(ctx, e) })
}

// Coupon publishes a coupon, together with those that come in at the same time; see publish.Publisher.Coupons.
func (s *shop) Coupon(ctx context.Context, c coupon.Coupon) (coupon.Coupon, error) {
	return s.coupons.Do(ctx, c)
}

// Change changes a coupon's terms; see publish.Publisher.Change.
func (s *shop) Change(ctx context.Context, couponID int64, change publish.ChangeRequest) (coupon.Coupon, error) {
	return do(ctx, s.commands, func(ctx context.Context) (coupon.Coupon, error) {
		return s.publisher.Change(ctx, couponID, change)
	})
}

// do runs a command to its end and returns its answer, or the error of ctx when that ends first.
func do[A any](ctx context.Context, commands *batching.Batcher[command, struct{}], run func(context.Context) (A, error)) (A, error) {
	type result struct {
		answer A
		err    error
	}
	done := make(chan result, 1) // nobody may be there to take it
	_, err := commands.Do(ctx, func(ctx context.Context) {
		answer, err := run(ctx)
		done <- result{answer, err}
	})
	if err != nil {
		var none A
		return none, err
	}
	r := <-done
	return r.answer, r.err
}

// close answers what was taken.
func (s *shop) close(ctx context.Context) error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.coupons.Close()
		s.commands.Close()
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
