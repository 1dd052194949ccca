package reconcile_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/reconcile"
)

// m is the real one: in a bubble it costs nothing.
const m = 500 * time.Millisecond

// tester is *testing.T and *rapid.T.
type tester interface {
	require.TestingT
	Helper()
	Fatalf(format string, args ...any)
}

// books is a ledger, and what a test wants to know of it.
type books interface {
	stepped.AnyBook
	fakebook.Writer
	Rows(couponID int64) []coupon.Place
	Failures() []fakebook.Failed
	ChangesOf(couponID int64) []coupon.Change
	Outcomes(couponID int64) map[int64]string
	IDs() []int64
}

// gates is a gate, and what a test does to it.
type gates interface {
	admission.Gate
	stepped.AnyGate
	reconcile.Viewer
	Holder(ctx context.Context, ref coupon.Ref, userID string, nth int) (coupon.Place, coupon.Verdict, error)
	Sound(ctx context.Context, refs []coupon.Ref) []error
	Flush(tag string)
	NewServer()
	Lose(tag, key string)
}

// world is a whole firstcome in memory, whose parts take a step when a test says so.
type world struct {
	t     tester
	ctx   context.Context
	m     time.Duration
	lease time.Duration // 0: the default
	lag   time.Duration // of replicas
	book  books
	fake  *fakebook.Book // the same, where it is one
	log   *fakebook.Log
	gate  gates

	decided  []coupon.Place // what gates have given, whoever knows of it
	promised map[string]coupon.Place
	pos      map[int32]int64 // the consumers' position, ahead of the committed one
	ids      []int64
	heard    map[int64]int64 // coupon → the greatest revision whose admin heard that it is done
	asked    []string        // tags that somebody found unsound
	names    int
	prefix   string // of names
}

func newWorld(t tester) *world {
	book := fakebook.NewBook()
	w := worldOf(t, book, memgate.New(memgate.Options{}))
	w.fake = book
	return w
}

func worldOf(t tester, book books, gate gates) *world {
	return &world{
		t: t, ctx: context.Background(), m: m, book: book, log: fakebook.NewLog(2), gate: gate,
		promised: map[string]coupon.Place{}, pos: map[int32]int64{}, heard: map[int64]int64{},
	}
}

// bubble runs a test in time of its own.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

// rebuilder makes a rebuilder that asks step before each of its calls; nil: none.
func (w *world) rebuilder(owner string, step stepped.Step) *reconcile.Rebuilder {
	step = orFree(step)
	return reconcile.NewRebuilder(reconcile.Deps{
		Book: stepped.NewBook(w.book, step), Gates: stepped.NewGate(w.gate, step), Journal: &stepped.Log{Log: w.log, Step: step},
		M: w.m, Owner: owner, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Lease: w.lease,
		ReplicaMaxLag: w.lag,
	})
}

// rebuilderWith makes one on other gates.
func (w *world) rebuilderWith(owner string, gates reconcile.Gates) *reconcile.Rebuilder {
	return reconcile.NewRebuilder(reconcile.Deps{
		Book: w.book, Gates: gates, Journal: w.log, M: w.m, Owner: owner, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(),
	})
}

// countingGate tells how many places each load call brings.
type countingGate struct {
	reconcile.Gates
	places func([]coupon.Place)
}

func (g *countingGate) LoadRows(ctx context.Context, mark coupon.Mark, ref coupon.Ref, rows []coupon.Place) error {
	g.places(rows)
	return g.Gates.LoadRows(ctx, mark, ref, rows)
}

func (g *countingGate) LoadTail(ctx context.Context, mark coupon.Mark, ref coupon.Ref, places []coupon.Place) (int64, error) {
	g.places(places)
	return g.Gates.LoadTail(ctx, mark, ref, places)
}

func (w *world) publisher(step stepped.Step) *publish.Publisher {
	step = orFree(step)
	book := stepped.NewBook(w.book, step)
	return publish.New(publish.Deps{
		Book: book, Gate: stepped.NewGate(w.gate, step), Refs: book, M: w.m, Log: slog.New(slog.DiscardHandler),
		OnUnsound: func(e coupon.UnsoundError) { w.asked = append(w.asked, e.Tag) },
	})
}

func orFree(step stepped.Step) stepped.Step {
	if step == nil {
		return func(_ string, do func() error) error { return do() }
	}
	return step
}

func total(n int64) *int64 { return &n }

// draft is a coupon that is on sale now.
func (w *world) draft(eventID int64, places *int64, limit int) coupon.Coupon {
	w.names++
	return coupon.Coupon{
		Name: fmt.Sprintf("%scoupon %d", w.prefix, w.names), VendorID: 1, EventID: eventID, Kind: coupon.FirstComeIssue, PerUserLimit: limit,
		Terms: coupon.Terms{
			Total: places, State: coupon.StateOpen, OpensAt: time.Now().UTC(), ClosesAt: time.Now().Add(time.Hour).UTC(),
		},
	}
}

// publish publishes a coupon and returns its id.
func (w *world) publish(eventID int64, places *int64, limit int) int64 {
	w.t.Helper()
	r := w.publisher(nil).Coupons(w.ctx, []coupon.Coupon{w.draft(eventID, places, limit)})
	require.NoError(w.t, r[0].Err)
	w.ids = append(w.ids, r[0].Coupon.ID)
	return r[0].Coupon.ID
}

func (w *world) event() int64 {
	w.t.Helper()
	w.names++
	e, err := w.publisher(nil).Event(w.ctx, coupon.Event{
		Name: fmt.Sprintf("%sevent %d", w.prefix, w.names), StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour),
	})
	require.NoError(w.t, err)
	return e.ID
}

func (w *world) ref(id int64) coupon.Ref {
	w.t.Helper()
	ref, err := w.book.Refresh(w.ctx, id)
	require.NoError(w.t, err)
	return ref
}

func (w *world) coupon(id int64) coupon.Coupon {
	w.t.Helper()
	c, err := w.book.Coupon(w.ctx, id)
	require.NoError(w.t, err)
	return c
}

// claim asks the gate and remembers what it gave. A settled holder is promised at once (rule 6).
func (w *world) claim(id int64, user, key string) (coupon.Place, coupon.Verdict) {
	answer := w.gate.Admit(w.ctx, []admission.Call{{Ref: w.ref(id), Asks: []admission.Ask{{UserID: user, Key: key}}}})[0]
	if answer.Err != nil {
		require.ErrorIs(w.t, answer.Err, coupon.ErrUnsound)
		return coupon.Place{}, 0
	}
	d := answer.Decisions[0]
	p := coupon.Place{CouponID: id, UserID: user, Nth: d.Nth, Seq: d.Seq, Epoch: answer.Epoch, AcceptedAt: d.AcceptedAt}
	if w.coupon(id).PerUserLimit > 1 {
		p.Key = key
	}
	if d.Verdict.Place() && !slices.Contains(w.decided, p) {
		w.decided = append(w.decided, p)
	}
	if d.Verdict == coupon.Holder {
		w.promise(p)
	}
	if d.Verdict == coupon.Admitted {
		w.allowed(p)
	}
	return p, d.Verdict
}

// allowed holds a gate to the book's terms: what is narrower reaches the gate before the book, what is wider the book
// before the gate, so that at every moment whom the gate admits the book's terms admit too.
func (w *world) allowed(p coupon.Place) {
	w.t.Helper()
	c, view := w.coupon(p.CouponID), w.view(p.CouponID)
	if said := c.Shown(view.Now, view.Taken-1); said != coupon.ShownOpen {
		w.t.Fatalf("admitted %+v while the book says %s (%s), %d taken, at %s", p, said, show(c.Terms), view.Taken, view.Now)
	}
}

// promise is the answer 200 or 202. A user is never told two numbers (I6).
func (w *world) promise(p coupon.Place) {
	w.t.Helper()
	name := fmt.Sprintf("%d/%s/%d", p.CouponID, p.UserID, p.Nth)
	if before, told := w.promised[name]; told && (before.Seq != p.Seq || before.Key != p.Key) {
		w.t.Fatalf("%s was promised %+v and now %+v", name, before, p)
	}
	w.promised[name] = p
}

func (w *world) land(p coupon.Place) { require.NoError(w.t, w.log.Append(w.ctx, p)) }

// confirm is rule 4 and what follows: 202 if the place stands. Only for a record that is in the journal.
func (w *world) confirm(p coupon.Place) bool {
	answer := w.gate.Confirm(w.ctx, []admission.ConfirmCall{{Ref: w.ref(p.CouponID), Places: []coupon.Place{p}}})[0]
	if answer.Err != nil || !answer.Stands[0] {
		return false
	}
	w.promise(p)
	return true
}

// accept is a whole claim: gate, journal, gate.
func (w *world) accept(id int64, user, key string) coupon.Place {
	w.t.Helper()
	p, verdict := w.claim(id, user, key)
	require.Equal(w.t, coupon.Admitted, verdict)
	w.land(p)
	require.True(w.t, w.confirm(p))
	return p
}

// consume writes a record without committing its offset.
func (w *world) consume(partition int32, offset int64) {
	fakebook.Consume(w.book, w.log, partition, offset)
}

func (w *world) tags() []string {
	var tags []string
	for _, id := range w.ids {
		if tag := w.ref(id).Tag; !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// settle does what the processes that repair would do, until nothing is left to do: the queue works on what claims
// and publishers ask for, batch finishes changes, the sweeper and the consumers go on.
func (w *world) settle() {
	w.t.Helper()
	queue := reconcile.NewQueue(reconcile.QueueDeps{
		Rebuilder: w.rebuilder("queue", nil), Gates: w.gate, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- queue.Run(ctx) }()
	defer func() {
		cancel()
		require.ErrorIs(w.t, <-ended, context.Canceled)
	}()

	var finishErr error
	for range 12 {
		_, finishErr = w.publisher(nil).Finish(w.ctx)
		swept := w.sweep()
		fakebook.ConsumeAll(w.book, w.log)
		open, err := w.book.OpenChanges(w.ctx, 0, 1)
		require.NoError(w.t, err)
		for _, tag := range w.asked {
			queue.Ask(tag)
		}
		w.asked = nil
		if finishErr == nil && !swept && len(open) == 0 && queue.Waiting() == 0 {
			return
		}
		require.Eventually(w.t, func() bool { return queue.Waiting() == 0 }, 2*time.Minute, w.m)
	}
	w.t.Fatalf("it does not settle: %v", finishErr)
}

func (w *world) sweep() (some bool) {
	for _, id := range w.ids {
		places, err := w.gate.Sweepable(w.ctx, w.ref(id), admission.Sweep{Limit: 100, Owner: "sweeper", Lease: time.Second})
		if err != nil {
			w.asked = append(w.asked, w.ref(id).Tag)
			continue
		}
		for _, p := range places {
			some = true
			w.land(p)
			w.confirm(p)
		}
	}
	return some
}

// rebuild brings gates back, undisturbed.
func (w *world) rebuild(tags ...string) reconcile.Report {
	w.t.Helper()
	report, err := w.rebuilder("undisturbed", nil).Rebuild(w.ctx, tags, true)
	require.NoError(w.t, err)
	return report
}

// check holds the invariants against a settled world.
func (w *world) check() {
	w.t.Helper()
	for _, f := range w.book.Failures() {
		if f.Reason == coupon.FailOverCap || f.Reason == coupon.FailNthTaken || f.Reason == coupon.FailFutureEpoch {
			w.t.Fatalf("failed event that this protocol never makes: %+v", f)
		}
	}
	inLog := w.log.Records()
	for _, id := range w.ids {
		c, rows := w.coupon(id), w.book.Rows(id)
		require.True(w.t, c.Total == nil || int64(len(rows)) <= *c.Total, "I1: %d rows", len(rows))
		seqs := map[int64]bool{}
		for _, row := range rows {
			require.True(w.t, slices.ContainsFunc(inLog, func(p coupon.Place) bool {
				return p.CouponID == row.CouponID && p.UserID == row.UserID && p.Nth == row.Nth && p.Seq == row.Seq
			}), "I4: row without a record: %+v", row)
			require.False(w.t, seqs[row.Seq], "I6: seq %d twice", row.Seq)
			seqs[row.Seq] = true
			held, _, err := w.gate.Holder(w.ctx, w.ref(id), row.UserID, row.Nth)
			require.NoError(w.t, err)
			require.Equal(w.t, row.Seq, held.Seq, "I5, I6: row and holder of %s differ", row.UserID)
		}
		w.checkView(c, len(rows))
		w.checkChanges(c)
	}
	for name, p := range w.promised {
		require.True(w.t, slices.ContainsFunc(w.book.Rows(p.CouponID), func(row coupon.Place) bool {
			return row.UserID == p.UserID && row.Nth == p.Nth && row.Seq == p.Seq && row.Key == p.Key
		}), "I3: the promise to %s is broken: %+v", name, p)
	}
}

// checkChanges: no change is lost. Each has an end; what stands is the latest that was not refused or outdone; and whoever
// heard that a change is done finds it, or a later one.
func (w *world) checkChanges(c coupon.Coupon) {
	w.t.Helper()
	changes, outcomes := w.book.ChangesOf(c.ID), w.book.Outcomes(c.ID)
	require.GreaterOrEqual(w.t, c.Applied, w.heard[c.ID], "an admin heard that revision %d is done", w.heard[c.ID])
	require.EqualValues(w.t, c.Revision, len(changes), "each revision has its reason")
	for i, change := range changes {
		outcome := outcomes[change.Revision]
		require.EqualValues(w.t, i+1, change.Revision)
		require.NotEmpty(w.t, change.Reason)
		require.NotEmpty(w.t, outcome, "revision %d of %d has no end", change.Revision, c.Revision)
		last := change.Revision == c.Revision
		require.False(w.t, last && outcome == publish.OutcomeSuperseded, "outdone by nobody")
		require.False(w.t, change.Revision > c.Applied && outcome == publish.OutcomeDone, "revision %d is done and does not stand", change.Revision)
		if change.Revision == c.Applied {
			half := outcome == publish.OutcomeSuperseded && c.Same(change.From.Step(change.To))
			require.True(w.t, c.Same(change.To) || half, "revision %d stands with %s", c.Applied, show(c.Terms))
		}
	}
}

// checkView compares what the gate and the book say of a coupon, once nothing waits for its time any more.
func (w *world) checkView(c coupon.Coupon, rows int) {
	w.t.Helper()
	var view coupon.View
	require.Eventually(w.t, func() bool {
		answer := w.gate.Views(w.ctx, []coupon.Ref{w.ref(c.ID)})[0]
		view = answer.View
		return answer.Err == nil && !view.Changing
	}, time.Minute, w.m/2)
	require.EqualValues(w.t, rows, view.Taken, "I5: admitted and rows; failed events: %+v", w.book.Failures())
	require.Zero(w.t, view.Pending)
	require.True(w.t, sameTerms(view.Terms, c.Terms), "gate has %s, book has %s", show(view.Terms), show(c.Terms))
}

func (w *world) view(id int64) coupon.View {
	w.t.Helper()
	answer := w.gate.Views(w.ctx, []coupon.Ref{w.ref(id)})[0]
	require.NoError(w.t, answer.Err)
	return answer.View
}

// sameTerms compares at the gate's resolution.
func sameTerms(a, b coupon.Terms) bool {
	for _, t := range []*coupon.Terms{&a, &b} {
		t.OpensAt, t.ClosesAt = t.OpensAt.Truncate(time.Microsecond), t.ClosesAt.Truncate(time.Microsecond)
	}
	return a.Same(b)
}

func show(t coupon.Terms) string {
	places := "unlimited"
	if t.Total != nil {
		places = fmt.Sprint(*t.Total)
	}
	return fmt.Sprintf("%s %s %s-%s", places, t.State, t.OpensAt, t.ClosesAt)
}
