package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// searchPage is how many coupons one look of a search asks about: one pipeline of about 10 ms of the gate's time.
	searchPage = 500
	// searchTime bounds a search, and how long those it found wait for the others: 100,000 coupons take about 10 s. What
	// it did not reach the sweepers do.
	searchTime = 15 * time.Second
	// searchEvery is the least time from one search to the next, by whichever process: where gates are lost again and
	// again for a reason that lies in them, searching for more takes Redis' one thread 2 % of its time.
	searchEvery = 10 * time.Second
	// searchedByOthers is for how long the gates that were only noticed wait while another process searches: it brings
	// them back with all the others, and a moment later they are looked at here.
	searchedByOthers = 2 * time.Second
	// searchLease names the work.
	searchLease = "lost gates"
)

// Live lists the coupons on sale by ascending id.
type Live interface {
	LiveRefs(ctx context.Context, afterID int64, limit int) ([]coupon.Ref, error)
}

// Leases keep processes from doing the same work.
type Leases interface {
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
}

// Unsound wants the gate of somebody who was turned away to be looked at and rebuilt: those come first. See Ask.
func (q *Queue) Unsound(e coupon.UnsoundError) {
	if q.ask(e.Tag, false) {
		q.suspect(e)
	}
}

// Noticed wants a gate that nobody asked for yet to be looked at and rebuilt.
func (q *Queue) Noticed(e coupon.UnsoundError) {
	if q.ask(e.Tag, true) {
		q.suspect(e)
	}
}

// suspect has all gates searched when one of them was lost with its server: probably it is not alone. A tag that waits
// already starts no search.
func (q *Queue) suspect(e coupon.UnsoundError) {
	if q.deps.Live == nil || !lostWithServer(e.Why) {
		return
	}
	select {
	case q.lost <- struct{}{}:
	default:
	}
}

// lostWithServer says whether a gate is as those of a server are that was emptied, or is another one. Whatever else is
// wrong with a gate is its own, or a rebuild is at it.
func lostWithServer(why coupon.UnsoundWhy) bool {
	return why == coupon.WhyNoGate || why == coupon.WhyForeign
}

// searches walks over all coupons on sale when a server's gates seem lost, so that they come back together, in one pass
// with one wait, and not as the sweepers meet them.
func (q *Queue) searches(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.lost:
		}
		began := time.Now()
		q.hold(searchTime)
		mine, err := q.deps.Leases.Acquire(ctx, searchLease, q.deps.Rebuilder.deps.Owner, searchEvery)
		switch {
		case err == nil && !mine:
			q.hold(searchedByOthers)
		case err == nil:
			var young bool
			young, err = q.search(ctx)
			q.hold(gather)
			if young && pause(ctx, coupon.NewFor) == nil {
				_, again := q.search(ctx)
				err = errors.Join(err, again)
			}
		default:
			q.hold(gather)
		}
		if err != nil && ctx.Err() == nil {
			q.deps.Log.Warn("the lost gates are not all found at once, the sweepers find them", "error", err)
		}
		_ = pause(ctx, searchEvery-time.Since(began)) // the end of ctx is seen above
	}
}

// search puts the tags of all gates that were lost on the queue, at the same moment. What cannot be asked is left to the
// sweepers. young says that some are still their publishers'.
func (q *Queue) search(ctx context.Context) (young bool, failure error) {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	var tags []string
	for after := int64(0); len(tags) < maxAsked; {
		refs, err := q.deps.Live.LiveRefs(ctx, after, searchPage)
		if err != nil {
			failure = err
			break
		}
		if len(refs) == 0 {
			break
		}
		after = refs[len(refs)-1].CouponID
		now := time.Now()
		for i, answer := range q.deps.Gates.Views(ctx, refs) {
			var unsound *coupon.UnsoundError
			switch {
			case !errors.As(answer.Err, &unsound) || !lostWithServer(unsound.Why):
			case coupon.IsNew(refs[i].CouponID, now):
				young = true
			default:
				tags = append(tags, refs[i].Tag)
			}
		}
	}
	added := 0
	for _, tag := range tags {
		if q.ask(tag, true) {
			added++
		}
	}
	if added > 0 {
		q.deps.Log.Warn("the server lost gates; they are rebuilt together", "tags", added)
	}
	return young, failure
}

// hold keeps the tags that were only noticed from being taken, for so long from now.
func (q *Queue) hold(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = time.Now().Add(d)
	q.signal()
}
