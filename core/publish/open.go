package publish

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// openTries bounds how often the last step is asked for when its answer is lost; it is safe to repeat.
const openTries = 2

// open opens the gates of new tags together (rule 29): mark, the book still says this epoch, open. There is nothing to
// load, no record can be of an older epoch, and nobody can remember a refusal; so no ends, no barrier and no M.
// Answers are in the order of openings; none of their errors means that the gate stays shut for good.
func (p *Publisher) open(ctx context.Context, openings []coupon.Opening) []error {
	b := &opening{Publisher: p, all: openings, errs: make([]error, len(openings))}
	live := make([]int, len(openings))
	for i := range live {
		live[i] = i
	}
	live = b.mark(ctx, live)
	crashpoint.At("publish.marked")
	live = b.recheck(ctx, live)
	crashpoint.At("publish.rechecked")
	for range openTries {
		live = b.open(ctx, live)
	}
	crashpoint.At("publish.opened")
	for i, o := range openings {
		err := b.errs[i]
		if err == nil {
			continue
		}
		// Whatever it was, the way out is the same, and nobody finds it sooner than we do.
		p.onUnsound(coupon.UnsoundError{Tag: o.Tag, Why: coupon.WhyMarked})
		p.log.Warn("a new gate did not open, a rebuild is asked for", "tag", o.Tag, "error", err)
		b.errs[i] = &KeptError{Err: err}
	}
	return b.errs
}

// opening is what one call of open works on. Its steps take the places in all that they are for and return those that
// the next step is for; of the others errs says why not.
type opening struct {
	*Publisher
	all  []coupon.Opening
	errs []error
}

// mark never asks twice: a second mark of the same epoch would be another one's.
func (b *opening) mark(ctx context.Context, live []int) (marked []int) {
	if len(live) == 0 {
		return nil
	}
	marks := make([]coupon.Mark, len(live))
	for n, i := range live {
		marks[n] = b.all[i].Mark
	}
	for n, answer := range b.gate.Mark(ctx, marks) {
		i := live[n]
		if b.errs[i] = answer.Err; answer.Err == nil {
			b.all[i].Token = answer.Token
			marked = append(marked, i)
		}
	}
	return marked
}

// recheck is never left out: a publisher that wakes up late, when a rebuild had filled the gate and Redis was lost
// after that, would open an empty one.
func (b *opening) recheck(ctx context.Context, live []int) (still []int) {
	if len(live) == 0 {
		return nil
	}
	tags := make([]string, len(live))
	for n, i := range live {
		tags[n] = b.all[i].Tag
	}
	epochs, err := b.book.Epochs(ctx, tags)
	for _, i := range live {
		switch {
		case err != nil:
			b.errs[i] = fmt.Errorf("look whether the epoch still stands: %w", err)
		case epochs[b.all[i].Tag] != b.all[i].Epoch:
			b.errs[i] = coupon.ErrOvertaken
		default:
			still = append(still, i)
		}
	}
	return still
}

// open returns those whose answer was lost.
func (b *opening) open(ctx context.Context, live []int) (lost []int) {
	if len(live) == 0 {
		return nil
	}
	openings := make([]coupon.Opening, len(live))
	for n, i := range live {
		openings[n] = b.all[i]
	}
	for n, err := range b.gate.Open(ctx, openings) {
		i := live[n]
		if b.errs[i] = err; isUnknown(err) {
			lost = append(lost, i)
		}
	}
	return lost
}
