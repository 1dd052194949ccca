package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	lastBackoff  = 15 * time.Second
	// maxLooks is after how many looks the queue forgets a tag. Who still needs it asks again.
	maxLooks = 100
	// maxLeaseDoublings bounds how far a lease grows when others overtake rebuilds that take longer than it: to 8 min.
	maxLeaseDoublings = 4
	// maxOvertakenDoublings bounds how far the pause grows when a tag is overtaken again and again: to 8 s.
	maxOvertakenDoublings = 3
	// maxAhead bounds the passes in a row that only those who are asked for get, while others wait: about 2 s.
	maxAhead = 3
)

// QueueDeps are what a Queue works with; all are needed but the last two.
type QueueDeps struct {
	Rebuilder  *Rebuilder
	Gates      Viewer
	Log        *slog.Logger
	Registerer prometheus.Registerer

	Live   Live   // nil: when a server's gates are lost nobody searches for them
	Leases Leases // needed with Live
}

// Queue rebuilds the gates of tags that somebody found not sound. Ask may be called by anybody at any time; Run does
// the work.
type Queue struct {
	deps    QueueDeps
	waiting prometheus.Gauge
	wake    chan struct{}
	lost    chan struct{} // a server's gates seem lost

	mu    sync.Mutex
	asked map[string]*request
	count uint64    // requests taken, for their order
	held  time.Time // until then nothing that was only noticed is taken
	ahead int       // passes in a row that left those out
}

type request struct {
	order     uint64
	noticed   bool // and not asked for by anybody: it lets the others go first
	since     time.Time
	due       time.Time
	looks     int
	failures  int  // in a row
	overtaken int  // in a row
	outlasted int  // rebuilds that took longer than their lease, and were overtaken
	deaf      bool // it waits because its gate did not answer
}

// rank is lower for what goes first.
func (r *request) rank() int {
	rank := min(r.looks, 1)
	if r.noticed {
		rank += 2
	}
	return rank
}

// NewQueue makes a Queue.
func NewQueue(d QueueDeps) *Queue {
	q := &Queue{
		deps: d, wake: make(chan struct{}, 1), lost: make(chan struct{}, 1), asked: map[string]*request{},
		waiting: registered(d.Registerer, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firstcome_rebuild_waiting_tags", Help: "Tags that wait for a rebuild or are in one.",
		})),
	}
	registered(d.Registerer, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firstcome_rebuild_oldest_seconds", Help: "How long the oldest of them has been waiting; 0 when there is none.",
	}, func() float64 {
		if _, oldest := q.pending(); !oldest.IsZero() {
			return time.Since(oldest).Seconds()
		}
		return 0
	}))
	return q
}

// pending are the tags that wait for a rebuild or are in one, the oldest first, and since when that one does.
func (q *Queue) pending() (tags []string, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tags = slices.Collect(maps.Keys(q.asked))
	slices.SortFunc(tags, func(a, b string) int { return cmp.Compare(q.asked[a].order, q.asked[b].order) })
	if len(tags) > 0 {
		oldest = q.asked[tags[0]].since
	}
	return tags, oldest
}

// namedTags is how many tags Rebuilding names.
const namedTags = 10

// Rebuilding says which gates are being rebuilt and since when; nil when none is.
func (q *Queue) Rebuilding() error {
	tags, oldest := q.pending()
	if len(tags) == 0 {
		return nil
	}
	more := ""
	if len(tags) > namedTags {
		more = " …"
	}
	return fmt.Errorf("%d gates are being rebuilt, the first since %s: %s%s", len(tags), oldest.UTC().Format(time.RFC3339),
		strings.Join(tags[:min(len(tags), namedTags)], " "), more)
}

// Ask wants a tag to be looked at and, if its gate is not sound or behind its epoch, rebuilt. It never blocks; a tag that
// waits already is not asked for twice, nor does its turn come sooner, unless it was only noticed, or waits for a gate
// that did not answer: whoever asks has heard from it.
func (q *Queue) Ask(tag string) { q.ask(tag, false) }

// ask says whether the tag did not wait yet.
func (q *Queue) ask(tag string, noticed bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.asked[tag]; r != nil {
		if r.noticed && !noticed {
			r.noticed = false
			q.signal()
		}
		if soon := time.Now().Add(gather); r.deaf && r.due.After(soon) {
			r.deaf, r.due = false, soon
			q.signal()
		}
		return false
	}
	if len(q.asked) >= maxAsked {
		return false
	}
	q.count++
	q.asked[tag] = &request{order: q.count, noticed: noticed, since: time.Now(), due: time.Now().Add(gather)}
	q.waiting.Inc()
	q.signal()
	return true
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends and returns why it did. Nothing else ends it: what fails is tried again, later each time.
func (q *Queue) Run(ctx context.Context) error {
	var searching sync.WaitGroup
	defer searching.Wait()
	searching.Go(func() { q.searches(ctx) })
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

// take returns the tags whose time has come, or how long it is until there is one. Those that somebody asked for go
// before those that were only noticed, for a while in passes of their own; new ones before those looked at before.
func (q *Queue) take(now time.Time) (tags []string, next time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	next = time.Hour
	first := 0 // of those, how many somebody asked for
	for tag, r := range q.asked {
		wait := r.due.Sub(now)
		if r.noticed {
			wait = max(wait, q.held.Sub(now))
		}
		if wait > 0 {
			next = min(next, wait)
			continue
		}
		tags = append(tags, tag)
		if !r.noticed {
			first++
		}
	}
	slices.SortFunc(tags, func(a, b string) int {
		x, y := q.asked[a], q.asked[b]
		return cmp.Or(cmp.Compare(x.rank(), y.rank()), cmp.Compare(x.order, y.order))
	})
	if q.ahead++; first == 0 || first == len(tags) || q.ahead > maxAhead {
		q.ahead, first = 0, len(tags)
	}
	tags = tags[:min(first, maxTags)]
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
			q.later(tag, Failed, false)
		}
		return
	}
	if len(unsound) == 0 {
		return
	}
	crashpoint.At("rebuild.asked")
	lease := q.lease(unsound)
	report, err := q.deps.Rebuilder.rebuild(ctx, unsound, false, lease)
	if err != nil && ctx.Err() == nil {
		q.deps.Log.Warn("a rebuild failed, it starts over", "tags", len(unsound), "error", err)
	}
	for _, t := range report.Tags {
		if t.Outcome == Opened {
			q.drop(t.Tag)
			continue
		}
		q.later(t.Tag, t.Outcome, report.Took > lease)
	}
}

// lease is longer for a tag whose rebuilds were overtaken: perhaps they take longer than their leases, and every one
// that waits for it would overtake the next.
func (q *Queue) lease(tags []string) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := 0
	for _, tag := range tags {
		most = max(most, q.asked[tag].outlasted)
	}
	return q.deps.Rebuilder.deps.Lease << min(most, maxLeaseDoublings)
}

// silent puts off a tag whose gate does not answer.
func (q *Queue) silent(tag string) {
	q.later(tag, Failed, false)
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.asked[tag]; r != nil {
		r.deaf = true
	}
}

// later puts a tag off. outlasted says that its rebuild took longer than its lease.
func (q *Queue) later(tag string, why Outcome, outlasted bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.asked[tag]
	r.deaf = false
	if r.looks >= maxLooks {
		q.deps.Log.Warn("a tag is not rebuilt and forgotten until somebody asks again", "tag", tag, "looks", r.looks)
		delete(q.asked, tag)
		q.waiting.Dec()
		return
	}
	wait := othersWait
	switch why {
	case Overtaken: // by another rebuild, or since Redis is not the one it was: then it may go on changing
		wait <<= min(r.overtaken, maxOvertakenDoublings)
		r.overtaken++
		if outlasted {
			r.outlasted++
		}
	case Failed:
		wait = min(firstBackoff<<min(r.failures, 6), lastBackoff)
		r.failures++
	}
	if why != Failed {
		r.failures = 0
	}
	if why != Overtaken {
		r.overtaken = 0
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
