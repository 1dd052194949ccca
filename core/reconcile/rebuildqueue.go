package reconcile

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

const (
	// maxAsked bounds the tags that wait. Whoever is turned away asks again: a claim, or the sweeper in its next round.
	maxAsked = 100_000
	// gather is how long the queue waits for more tags before it begins: when a whole Redis was lost they come in
	// hundreds, and one pass for all of them is as fast as for one.
	gather = 50 * time.Millisecond
	// othersWait is the pause before a tag that another one is at is looked at again.
	othersWait = time.Second
	// firstBackoff doubles with each failure in a row up to lastBackoff.
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// maxLooks is after how many looks the queue forgets a tag. Who still needs it asks again.
	maxLooks = 100
	// maxLeaseDoublings bounds how far a lease grows when others overtake rebuilds that take longer than it: to 8 min.
	maxLeaseDoublings = 4
	// looksTogether bounds the coupons of one look at the gates: those of a full event bring a thousand keys each.
	looksTogether = 100
)

// QueueDeps are what a Queue works with; all are needed.
type QueueDeps struct {
	Rebuilder  *Rebuilder
	Gates      Viewer
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Queue rebuilds the gates of tags that somebody found not sound. Ask may be called by anybody at any time; Run does
// the work.
type Queue struct {
	deps    QueueDeps
	waiting prometheus.Gauge
	wake    chan struct{}

	mu    sync.Mutex
	asked map[string]*request
	count uint64 // requests taken, for their order
}

type request struct {
	order     uint64
	due       time.Time
	looks     int
	failures  int // in a row
	overtaken int
}

// NewQueue makes a Queue.
func NewQueue(d QueueDeps) *Queue {
	return &Queue{
		deps: d, wake: make(chan struct{}, 1), asked: map[string]*request{},
		waiting: registered(d.Registerer, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firstcome_rebuild_waiting_tags", Help: "Tags that wait for a rebuild or are in one.",
		})),
	}
}

// Ask wants a tag to be looked at and, if its gate is not sound or behind its epoch, rebuilt. It never blocks; a tag that waits already is
// not asked for twice, nor does its turn come sooner.
func (q *Queue) Ask(tag string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.asked[tag] != nil || len(q.asked) >= maxAsked {
		return
	}
	q.count++
	q.asked[tag] = &request{order: q.count, due: time.Now().Add(gather)}
	q.waiting.Inc()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends and returns why it did. Nothing else ends it: what fails is tried again, later each time.
func (q *Queue) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		tags, next := q.take(time.Now())
		if len(tags) > 0 {
			q.work(ctx, tags)
			continue
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return ctx.Err()
}

// take returns the tags whose time has come, those asked for first before those that were looked at before, or how long
// it is until there is one.
func (q *Queue) take(now time.Time) (tags []string, next time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	next = time.Hour
	for tag, r := range q.asked {
		if wait := r.due.Sub(now); wait <= 0 {
			tags = append(tags, tag)
		} else {
			next = min(next, wait)
		}
	}
	slices.SortFunc(tags, func(a, b string) int {
		x, y := q.asked[a], q.asked[b]
		return cmp.Or(cmp.Compare(min(x.looks, 1), min(y.looks, 1)), cmp.Compare(x.order, y.order))
	})
	tags = tags[:min(len(tags), maxTags)]
	for _, tag := range tags {
		q.asked[tag].looks++
	}
	return tags, next
}

func (q *Queue) work(ctx context.Context, tags []string) {
	unsound, err := q.look(ctx, tags)
	if err != nil {
		if ctx.Err() == nil {
			q.deps.Log.Warn("the gates asked for cannot be looked at", "tags", len(tags), "error", err)
		}
		for _, tag := range tags {
			q.later(tag, Failed)
		}
		return
	}
	if len(unsound) == 0 {
		return
	}
	crashpoint.At("rebuild.asked")
	report, err := q.deps.Rebuilder.rebuild(ctx, unsound, false, q.lease(unsound))
	if err != nil && ctx.Err() == nil {
		q.deps.Log.Warn("a rebuild failed, it starts over", "tags", len(unsound), "error", err)
	}
	for _, t := range report.Tags {
		if t.Outcome == Opened {
			q.drop(t.Tag)
			continue
		}
		q.later(t.Tag, t.Outcome)
	}
}

// look forgets the tags whose gates are as they must be by now, puts off those that do not answer, and returns the rest.
func (q *Queue) look(ctx context.Context, tags []string) (unsound []string, err error) {
	refs, err := q.refs(ctx, tags)
	if err != nil {
		return nil, err
	}
	epochs, err := q.deps.Rebuilder.deps.Book.Epochs(ctx, tags)
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		state, lookErr := q.state(ctx, refs[tag], epochs[tag])
		switch {
		case len(refs[tag]) == 0 && !isEvent(tag):
			q.deps.Log.Warn("a rebuild was asked for a tag that has no coupon", "tag", tag)
			q.drop(tag)
		case len(refs[tag]) == 0 || state == gateUnsound: // an event without coupons has nothing to look at
			unsound = append(unsound, tag)
		case state == gateSound:
			q.drop(tag)
		default:
			q.deps.Log.Warn("a gate does not answer", "tag", tag, "error", lookErr)
			q.later(tag, Failed)
		}
	}
	return unsound, nil
}

type gateState int

const (
	gateUnknown gateState = iota
	gateSound
	gateUnsound
)

func (q *Queue) state(ctx context.Context, refs []coupon.Ref, epoch int64) (gateState, error) {
	for start := 0; start < len(refs); start += looksTogether {
		for _, answer := range q.deps.Gates.Views(ctx, refs[start:min(start+looksTogether, len(refs))]) {
			switch {
			case errors.Is(answer.Err, coupon.ErrUnsound):
				return gateUnsound, nil
			case answer.Err != nil:
				return gateUnknown, answer.Err
			case answer.View.Epoch < epoch: // a rebuild took the epoch and never marked the gate
				return gateUnsound, nil
			}
		}
	}
	return gateSound, nil
}

// errEnough ends a reading of tags before their rows.
var errEnough = errors.New("enough")

// refs are the references of all coupons of these tags, as the book has them now.
func (q *Queue) refs(ctx context.Context, tags []string) (map[string][]coupon.Ref, error) {
	refs := make(map[string][]coupon.Ref, len(tags))
	for {
		coupons := map[string][]coupon.Coupon{}
		err := q.deps.Rebuilder.deps.Book.LoadTags(ctx, tags, func(told []coupon.Coupon) error {
			for _, c := range told {
				coupons[c.Tag()] = append(coupons[c.Tag()], c)
			}
			return nil
		}, func(coupon.Ref, []coupon.Place) error { return errEnough })
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
		for tag, list := range coupons {
			refs[tag] = refsOf(list)
		}
		// Rows may come before the coupons of another tag; those are asked for again.
		tags = slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return refs[tag] != nil })
		if err == nil || len(tags) == 0 || len(coupons) == 0 {
			return refs, nil
		}
	}
}

func refsOf(coupons []coupon.Coupon) []coupon.Ref {
	siblings := make([]int64, len(coupons))
	for i, c := range coupons {
		siblings[i] = c.ID
	}
	slices.Sort(siblings)
	refs := make([]coupon.Ref, len(coupons))
	for i, c := range coupons {
		refs[i] = c.Ref(siblings)
	}
	return refs
}

// lease is longer for a tag whose rebuilds were overtaken: perhaps they take longer than their leases, and every one
// that waits for it would overtake the next.
func (q *Queue) lease(tags []string) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := 0
	for _, tag := range tags {
		most = max(most, q.asked[tag].overtaken)
	}
	return q.deps.Rebuilder.deps.Lease << min(most, maxLeaseDoublings)
}

// later puts a tag off.
func (q *Queue) later(tag string, why Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.asked[tag]
	if r.looks >= maxLooks {
		q.deps.Log.Warn("a tag is not rebuilt and forgotten until somebody asks again", "tag", tag, "looks", r.looks)
		delete(q.asked, tag)
		q.waiting.Dec()
		return
	}
	wait := othersWait
	switch why {
	case Overtaken:
		r.overtaken++
	case Failed:
		wait = min(firstBackoff<<min(r.failures, 6), lastBackoff)
		r.failures++
	}
	if why != Failed {
		r.failures = 0
	}
	r.due = time.Now().Add(jitter(wait))
}

// drop forgets a tag.
func (q *Queue) drop(tag string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.asked, tag)
	q.waiting.Dec()
}

// jitter spreads what would happen at the same time by a quarter in each direction.
func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1) //nolint:gosec // jitter is no secret
}
