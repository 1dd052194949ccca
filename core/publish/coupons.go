package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

const (
	// maxTogether bounds the coupons of one transaction and one round of gate calls: about 50 ms of each.
	maxTogether = 500
	// idRounds bounds how often ids are made anew. Even where a quarter of all ids of this millisecond is taken (a
	// thousand coupons), one in four thousand million misses so often.
	idRounds = 16
	// joinPatience bounds how long a coupon waits for the gate of its event, which may be under rebuild: M, the
	// reading, and some. After it the rebuild, or the next one, brings the coupon in.
	joinPatience = 3 * time.Second
	joinPause    = 50 * time.Millisecond // between two looks at such a gate
)

// Result is what became of one coupon: published and open to claims (Err nil, ID set), or why not. coupon.ErrNameTaken,
// ErrVendorNotFound, ErrEventNotFound and FieldErrors mean that nothing was stored; a KeptError that the coupon is
// published and its gate not open yet; anything else leaves both unknown.
type Result struct {
	Coupon coupon.Coupon
	Err    error
}

// Coupons publishes coupons (rule 29); the bad ones do not hurt their neighbours, and all share the calls to book and
// gate. Results are in the order of coupons.
func (p *Publisher) Coupons(ctx context.Context, coupons []coupon.Coupon) []Result {
	results := make([]Result, len(coupons))
	for i, c := range coupons {
		c.CreatedAt = time.Now().UTC().Truncate(time.Microsecond)
		results[i] = Result{Coupon: c, Err: c.Validate()}
	}
	for start := 0; start < len(results); start += maxTogether {
		p.publish(ctx, results[start:min(start+maxTogether, len(results))])
	}
	return results
}

func (p *Publisher) publish(ctx context.Context, results []Result) {
	created := p.create(ctx, results)
	crashpoint.At("publish.booked")
	ctx, cancel := goOn(ctx)
	defer cancel()

	var alone, member []int
	for i := range results {
		switch {
		case results[i].Err != nil:
		case results[i].Coupon.EventID == 0:
			alone = append(alone, i)
		default:
			member = append(member, i)
		}
	}
	openings := make([]coupon.Opening, len(alone))
	for n, i := range alone {
		c := results[i].Coupon
		openings[n] = coupon.Opening{
			Mark:    coupon.Mark{Tag: c.Tag(), Epoch: created[i].Epoch},
			Coupons: []coupon.OpeningCoupon{joining(c, created[i].Siblings)},
		}
	}
	for n, err := range p.open(ctx, openings) {
		results[alone[n]].Err = err
	}
	shut := map[string]error{} // events whose gate did not open in time: nobody waits for it twice
	for _, i := range member {
		c := results[i].Coupon
		if shut[c.Tag()] == nil {
			shut[c.Tag()] = p.join(ctx, c, created[i])
		}
		results[i].Err = shut[c.Tag()]
	}
}

// create stores the good coupons under new ids. What it returns stands at the places of results.
func (p *Publisher) create(ctx context.Context, results []Result) []coupon.Created {
	created := make([]coupon.Created, len(results))
	var todo []int
	for i := range results {
		if results[i].Err == nil {
			todo = append(todo, i)
		}
	}
	for round := 0; round < idRounds && len(todo) > 0; round++ {
		batch := make([]coupon.Coupon, len(todo))
		ids := make(map[int64]bool, len(todo))
		for n, i := range todo {
			results[i].Coupon.ID = freshID(ids)
			batch[n] = results[i].Coupon
		}
		var again []int
		for n, made := range p.book.CreateCoupons(ctx, batch) {
			i := todo[n]
			created[i], results[i].Err = made, made.Err
			if errors.Is(made.Err, coupon.ErrIDTaken) {
				again = append(again, i)
			}
		}
		todo = again
	}
	return created
}

// freshID makes an id that is not among those of the same batch and adds it to them.
func freshID(taken map[int64]bool) int64 {
	for {
		id := coupon.NewID(time.Now())
		if !taken[id] {
			taken[id] = true
			return id
		}
	}
}

// joining is a coupon as a gate gets it at first: its terms and nobody in it.
func joining(c coupon.Coupon, siblings []int64) coupon.OpeningCoupon {
	return coupon.OpeningCoupon{Ref: c.Ref(siblings), Terms: c.Terms, Revision: c.Applied}
}

// join brings a coupon into the gate of its event (rule 29). That gate may be under rebuild: then it waits. Of a
// greater epoch than the coupon's own, the gate has read the coupon, and joining only makes sure of it.
func (p *Publisher) join(ctx context.Context, c coupon.Coupon, made coupon.Created) error {
	until := time.Now().Add(joinPatience)
	joins, epoch := joining(c, made.Siblings), made.Epoch
	for {
		err := p.gate.Join(ctx, joins, epoch)
		if err == nil {
			return nil
		}
		late := time.Now().After(until)
		switch {
		case late && errors.Is(err, coupon.ErrOvertaken):
			p.onUnsound(coupon.UnsoundError{Tag: c.Tag(), Why: coupon.WhyBehind})
		case late || !missesCoupons(err):
			p.unsound(err)
		}
		if late || pause(ctx, joinPause) != nil {
			p.log.Warn("a coupon is not in its event's gate yet, a rebuild will bring it in", "coupon_id", c.ID, "tag", c.Tag(), "error", err)
			return &KeptError{Err: err}
		}
		switch {
		case errors.Is(err, coupon.ErrOvertaken):
			epochs, lookErr := p.book.Epochs(ctx, []string{c.Tag()})
			if lookErr != nil {
				return &KeptError{Err: fmt.Errorf("look for the epoch of %s: %w", c.Tag(), lookErr)}
			}
			epoch = epochs[c.Tag()]
		case missesCoupons(err): // another one joined since
			ref, lookErr := p.refs.Refresh(ctx, c.ID)
			if lookErr != nil {
				return &KeptError{Err: fmt.Errorf("look for the coupons of %s: %w", c.Tag(), lookErr)}
			}
			joins.Siblings = ref.Siblings
		}
	}
}
