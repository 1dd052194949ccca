package admission_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/coupon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errKafkaDown = errors.New("kafka is down")

// journal keeps records in memory. It can fail, lose acknowledgements and fall asleep.
type journal struct {
	mu        sync.Mutex
	records   []coupon.Place
	fails     bool                             // nothing is kept, an error
	loses     func(n int, p coupon.Place) bool // the append of that number, from 0, is kept and yet an error
	drops     func(n int, p coupon.Place) bool // the append of that number is an error, and not kept
	appends   int
	malformed func(coupon.Place) bool // refuses to encode it
	asleep    chan struct{}           // not nil: appends wait until it is closed, or their context ends
	took      time.Duration           // what a good append takes
	waits     bool                    // takes no place without somebody waiting for it
	values    []any                   // what the context of each append carried under traceKey
}

// journalSettles is within which time it says what became of a place that was sent.
const journalSettles = 30 * time.Second

type traceKey struct{}

func (j *journal) Append(ctx context.Context, p coupon.Place) error {
	j.mu.Lock()
	asleep, took := j.asleep, j.took
	j.mu.Unlock()
	if asleep != nil {
		select {
		case <-asleep:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if took > 0 {
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.appends
	j.appends++
	if j.fails || j.drops != nil && j.drops(n, p) {
		return errKafkaDown
	}
	if j.malformed != nil && j.malformed(p) {
		return &coupon.FieldError{Field: "accepted_at", Detail: "is not a time"}
	}
	j.records = append(j.records, p)
	j.values = append(j.values, ctx.Value(traceKey{}))
	if j.loses != nil && j.loses(n, p) {
		return errKafkaDown
	}
	return nil
}

// Send implements admission.Sender for every second place, so that each test meets both ways of handing over.
func (j *journal) Send(ctx context.Context, p coupon.Place, done func(error)) bool {
	j.mu.Lock()
	waits := j.waits || p.Seq%2 == 0
	j.mu.Unlock()
	if waits {
		return false
	}
	settled, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalSettles)
	go func() {
		defer cancel()
		done(j.Append(settled, p))
	}()
	return true
}

func (j *journal) set(change func(*journal)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(j)
}

// sleep puts the journal to sleep; the function it returns wakes it.
func (j *journal) sleep() (wake func()) {
	gate := make(chan struct{})
	j.set(func(j *journal) { j.asleep = gate })
	return func() {
		j.set(func(j *journal) { j.asleep = nil })
		close(gate)
	}
}

func (j *journal) all() []coupon.Place {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.records)
}

// of returns the records of a user.
func (j *journal) of(userID string) []coupon.Place {
	return slices.DeleteFunc(j.all(), func(p coupon.Place) bool { return p.UserID != userID })
}

// book knows the coupons as the ledger does, and remembers them as the api does.
type book struct {
	mu         sync.Mutex
	remembered map[int64]coupon.Ref
	rows       map[int64]coupon.Ref
	refreshes  int
	lists      int
	err        error
}

func (b *book) Ref(_ context.Context, couponID int64) (coupon.Ref, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return coupon.Ref{}, b.err
	}
	ref, ok := b.remembered[couponID]
	if !ok {
		return coupon.Ref{}, coupon.ErrNotFound
	}
	return ref, nil
}

func (b *book) Refresh(_ context.Context, couponID int64) (coupon.Ref, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refreshes++
	if b.err != nil {
		return coupon.Ref{}, b.err
	}
	ref, ok := b.rows[couponID]
	if !ok {
		return coupon.Ref{}, coupon.ErrNotFound
	}
	b.remembered[couponID] = ref
	return ref, nil
}

func (b *book) LiveRefs(_ context.Context, afterID int64, limit int) ([]coupon.Ref, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lists++
	if b.err != nil {
		return nil, b.err
	}
	var live []coupon.Ref
	for id, ref := range b.rows {
		if id > afterID {
			live = append(live, ref)
		}
	}
	slices.SortFunc(live, func(x, y coupon.Ref) int { return int(x.CouponID - y.CouponID) })
	return live[:min(limit, len(live))], nil
}

func (b *book) set(change func(*book)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// tap stands between desk and gate: it counts, and can hold calls up or lose their answers.
type tap struct {
	admission.Gate

	mu                      sync.Mutex
	inAdmit, inConfirm      int
	mostAdmits, mostConfirm int
	groups                  [][]admission.Call
	beforeAdmit             func()
	beforeConfirm           func()
	beforeSweep             func()
	loseAdmits              int // so many answers get lost after the gate has decided
	confirms                []coupon.Place
	down                    error // no call reaches the gate
}

func (g *tap) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	g.mu.Lock()
	g.inAdmit++
	g.mostAdmits = max(g.mostAdmits, g.inAdmit)
	kept := make([]admission.Call, len(calls))
	for i, c := range calls {
		kept[i] = admission.Call{Ref: c.Ref, Asks: slices.Clone(c.Asks)}
	}
	g.groups = append(g.groups, kept)
	before, down := g.beforeAdmit, g.down
	g.mu.Unlock()
	if before != nil {
		before()
	}
	var answers []admission.Answer
	if down == nil {
		answers = g.Gate.Admit(ctx, calls)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inAdmit--
	if g.loseAdmits > 0 {
		g.loseAdmits--
		down = errors.New("i/o timeout")
	}
	if down != nil {
		answers = make([]admission.Answer, len(calls))
		for i := range answers {
			answers[i].Err = down
		}
	}
	return answers
}

func (g *tap) Confirm(ctx context.Context, calls []admission.ConfirmCall) []admission.ConfirmAnswer {
	g.mu.Lock()
	g.inConfirm++
	g.mostConfirm = max(g.mostConfirm, g.inConfirm)
	before, down := g.beforeConfirm, g.down
	for _, c := range calls {
		g.confirms = append(g.confirms, c.Places...)
	}
	g.mu.Unlock()
	if before != nil {
		before()
	}
	answers := make([]admission.ConfirmAnswer, len(calls))
	if down == nil {
		answers = g.Gate.Confirm(ctx, calls)
	} else {
		for i := range answers {
			answers[i].Err = down
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inConfirm--
	return answers
}

func (g *tap) Sweepable(ctx context.Context, ref coupon.Ref, sweep admission.Sweep) ([]coupon.Place, error) {
	g.mu.Lock()
	before, down := g.beforeSweep, g.down
	g.mu.Unlock()
	if before != nil {
		before()
	}
	if down != nil {
		return nil, down
	}
	return g.Gate.Sweepable(ctx, ref, sweep)
}

func (g *tap) set(change func(*tap)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

// shop is a desk with all that it works with.
type shop struct {
	t        testing.TB
	mem      *memgate.Gate
	gate     *tap
	journal  *journal
	book     *book
	registry *prometheus.Registry
	desk     *admission.Desk

	mu      sync.Mutex
	unsound []coupon.UnsoundError
}

// bothWays runs a test with places that are sent to the journal and with places that somebody waits for.
func bothWays(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	for name, waits := range map[string]bool{"sent": false, "waited for": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				defer s.close()
				s.journal.waits = waits
				test(t, s)
			})
		})
	}
}

func newShop(t testing.TB) *shop {
	s := &shop{
		t: t, mem: memgate.New(memgate.Options{Now: time.Now}), journal: &journal{},
		book:     &book{remembered: map[int64]coupon.Ref{}, rows: map[int64]coupon.Ref{}},
		registry: prometheus.NewRegistry(),
	}
	s.gate = &tap{Gate: s.mem}
	s.desk = admission.NewDesk(admission.DeskDeps{
		Gate: s.gate, Journal: s.journal, Sender: s.journal, Refs: s.book, OnUnsound: s.onUnsound,
		Log: slog.New(slog.DiscardHandler), Registerer: s.registry,
	})
	return s
}

func (s *shop) onUnsound(e coupon.UnsoundError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsound = append(s.unsound, e)
}

func (s *shop) reported() []coupon.UnsoundError {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unsound)
}

func (s *shop) close() { require.NoError(s.t, s.desk.Close(s.t.Context())) }

// publish opens a gate of epoch 1 for coupons of one tag (rule 29).
func (s *shop) publish(coupons ...coupon.Coupon) {
	siblings := make([]int64, len(coupons))
	for i, c := range coupons {
		siblings[i] = c.ID
	}
	s.openGate(1, nil, coupons, siblings)
	for _, c := range coupons {
		ref := c.Ref(siblings)
		s.book.set(func(b *book) { b.rows[c.ID], b.remembered[c.ID] = ref, ref })
	}
}

// rebuild opens the gate of the next epoch with these rows, as after a loss (rules 18 to 25).
func (s *shop) rebuild(epoch int64, rows []coupon.Place, c coupon.Coupon) {
	s.openGate(epoch, rows, []coupon.Coupon{c}, []int64{c.ID})
}

func (s *shop) openGate(epoch int64, rows []coupon.Place, coupons []coupon.Coupon, siblings []int64) {
	ctx := context.Background()
	marked := s.mem.Mark(ctx, []coupon.Mark{{Tag: coupons[0].Tag(), Epoch: epoch}})
	require.Len(s.t, marked, 1)
	require.NoError(s.t, marked[0].Err)
	opening := coupon.Opening{Mark: marked[0].Mark, Event: coupons[0].EventID != 0}
	for _, c := range coupons { // members are needed with rows only, and no test of events has rows
		load := coupon.OpeningCoupon{Ref: c.Ref(siblings), Terms: c.Terms, Holders: int64(len(rows))}
		for _, row := range rows {
			load.LastSeq = max(load.LastSeq, row.Seq)
		}
		if len(rows) > 0 {
			require.NoError(s.t, s.mem.LoadRows(ctx, marked[0].Mark, load.Ref, rows))
		}
		opening.Coupons = append(opening.Coupons, load)
	}
	require.NoError(s.t, errors.Join(s.mem.Open(ctx, []coupon.Opening{opening})...))
}

// view is what the gate says of a coupon.
func (s *shop) view(couponID int64) coupon.View {
	s.book.mu.Lock()
	ref := s.book.rows[couponID]
	s.book.mu.Unlock()
	views := s.mem.Views(context.Background(), []coupon.Ref{ref})
	require.Len(s.t, views, 1)
	require.NoError(s.t, views[0].Err)
	return views[0].View
}

// sale is a coupon that is open now, with a total; 0 is unlimited.
func sale(id, total int64) coupon.Coupon {
	c := coupon.Coupon{
		ID: id, Kind: coupon.FirstComeIssue, PerUserLimit: 1,
		Terms: coupon.Terms{State: coupon.StateOpen, OpensAt: time.Now().Add(-time.Hour), ClosesAt: time.Now().Add(24 * time.Hour)},
	}
	if total > 0 {
		c.Total = &total
	}
	return c
}

// elapse lets time pass inside a synctest bubble, and everything happen that is due by then.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
