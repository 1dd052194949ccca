package admission_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/coupon"
)

// histories is how many random ones are told; each is some seconds of a sale, in a bubble whose time is not real. Under
// the race detector, which makes them ten times slower, it is a tenth (slowdown is 10 there).
const histories = 10_000 / slowdown

// memoryTTL is M.
const memoryTTL = 500 * time.Millisecond

// world is a gate, two apis with a memory each, and what was promised.
type world struct {
	t        *testing.T
	r        *rand.Rand
	gate     *memgate.Gate
	apis     []*api
	coupons  []coupon.OpeningCoupon
	revision map[int64]int64
	epoch    int64
	held     map[string]coupon.Place // coupon and user -> the receipt
	changed  time.Time               // the last moment at which anything about the gate changed or comes to hold
	memory   int                     // refusals from memory
}

// api is one api's memory, and its way to the gate: looks take time there and back.
type api struct {
	*memgate.Gate
	mu     sync.Mutex
	r      *rand.Rand // of its messages: they travel while the world goes on
	memory *admission.Memory
}

// travel is the time of a message; now and then an api, or the gate, stands still for long.
func (a *api) travel() {
	a.mu.Lock()
	d := time.Duration(a.r.IntN(30)) * time.Millisecond
	if a.r.IntN(20) == 0 {
		d = time.Duration(a.r.IntN(1500)) * time.Millisecond
	}
	a.mu.Unlock()
	<-time.After(d)
}

func (a *api) Views(_ context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	a.travel()
	answers := a.Gate.Views(context.Background(), refs)
	a.travel()
	return answers
}

func (a *api) EachName(_ context.Context, ref coupon.Ref, each func(string)) error {
	a.travel()
	err := a.Gate.EachName(context.Background(), ref, each)
	a.travel()
	return err
}

func TestMemoryNeverRefusesWhatTheGateWouldGive(t *testing.T) {
	t.Parallel()
	fromMemory := 0
	registry := prometheus.NewRegistry() // one for all: making the metrics anew takes longer than a history
	n := histories
	if testing.Short() {
		n /= 10
	}
	for seed := range n {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, uint64(seed), registry)
			for range 25 {
				w.step()
			}
			fromMemory += w.memory
		})
		if t.Failed() {
			t.Fatalf("history %d", seed)
		}
	}
	t.Logf("%d histories, %d refusals from memory", n, fromMemory)
	require.Greater(t, fromMemory, n, "the memory was hardly asked: this test tests nothing")
}

func newWorld(t *testing.T, seed uint64, registry *prometheus.Registry) *world {
	t.Helper()
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), gate: memgate.New(memgate.Options{}), revision: map[int64]int64{}, epoch: 1,
		held: map[string]coupon.Place{},
	}
	event, ids := int64(0), []int64{1}
	if seed%3 == 0 {
		event, ids = 9, []int64{1, 2}
	}
	for _, id := range ids {
		c := coupon.Coupon{ID: id, EventID: event, PerUserLimit: 1, Kind: coupon.FirstComeIssue, Terms: w.terms()}
		if event == 0 && seed%3 == 1 {
			c.PerUserLimit = 2
		}
		w.coupons = append(w.coupons, coupon.OpeningCoupon{Ref: c.Ref(ids), Terms: c.Terms})
	}
	w.rebuild(0)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // … and with it time goes on for who is on the way
	t.Cleanup(cancel)
	for i := range 2 {
		a := &api{Gate: w.gate, r: rand.New(rand.NewPCG(seed, uint64(2+i)))}
		a.memory = admission.NewMemory(admission.MemoryDeps{
			Gate: a, TTL: memoryTTL, Log: slog.New(slog.DiscardHandler), Registerer: registry,
		})
		running.Go(func() { _ = a.memory.Run(ctx) }) // nil, always
		w.apis = append(w.apis, a)
	}
	return w
}

// terms are mostly such that many are refused.
func (w *world) terms() coupon.Terms {
	total := int64(w.r.IntN(5))
	t := coupon.Terms{Total: &total, State: coupon.StateOpen, OpensAt: time.Now().Add(-time.Hour), ClosesAt: time.Now().Add(time.Hour)}
	switch w.r.IntN(8) {
	case 0:
		t.State = coupon.StatePaused
	case 1:
		t.State = coupon.StateClosed
	case 2, 3:
		t.OpensAt = time.Now().Add(time.Duration(w.r.IntN(3000)) * time.Millisecond)
	case 4:
		t.ClosesAt = time.Now().Add(time.Duration(1+w.r.IntN(3000)) * time.Millisecond)
	}
	return t
}

func (w *world) step() {
	switch w.r.IntN(20) {
	case 0, 1:
		w.change()
	case 2:
		if w.r.IntN(3) == 0 {
			w.gate.Flush(w.coupons[0].Tag)
		}
		w.rebuild(memoryTTL)
	case 3, 4, 5:
		<-time.After(time.Duration(w.r.IntN(700)) * time.Millisecond)
	default:
		c, user := w.coupons[w.r.IntN(len(w.coupons))], fmt.Sprint("u", w.r.IntN(12))
		for range 1 + w.r.IntN(12) {
			w.claim(w.apis[w.r.IntN(2)], c, user)
			user = fmt.Sprint("u", w.r.IntN(12))
		}
		<-time.After(time.Duration(w.r.IntN(60)) * time.Millisecond)
	}
}

// change narrows or widens one coupon, as rules 26 and 27 have it.
func (w *world) change() {
	i := w.r.IntN(len(w.coupons))
	c := &w.coupons[i]
	to, from := w.terms(), c.Terms
	widen := from.Widens(to)
	if !widen {
		to = from.Meet(to)
	}
	w.revision[c.CouponID]++
	change := coupon.TermsChange{Ref: c.Ref, To: to, Revision: w.revision[c.CouponID], Widen: widen, Wait: memoryTTL, Epoch: w.epoch}
	if _, err := w.gate.Change(context.Background(), change); err == nil {
		c.Terms, c.Revision = to, change.Revision
	}
	w.changed = time.Now().Add(memoryTTL)
}

// rebuild brings the gate back behind the next epoch with everything that was promised.
func (w *world) rebuild(wait time.Duration) {
	ctx := context.Background()
	w.epoch++
	mark := w.gate.Mark(ctx, []coupon.Mark{{Tag: w.coupons[0].Tag, Epoch: w.epoch}})[0]
	require.NoError(w.t, mark.Err)
	opening := coupon.Opening{Mark: mark.Mark, Wait: wait, Event: w.coupons[0].EventID != 0}
	for _, c := range w.coupons {
		var rows []coupon.Place
		c.LastSeq = 0
		for _, p := range w.held {
			if p.CouponID == c.CouponID {
				rows = append(rows, p)
				c.LastSeq = max(c.LastSeq, p.Seq)
			}
		}
		require.NoError(w.t, w.gate.LoadRows(ctx, mark.Mark, c.Ref, rows))
		c.Holders = int64(len(rows))
		opening.Coupons = append(opening.Coupons, c)
		if c.Member {
			opening.Members += c.Holders
		}
	}
	if wait > 0 {
		if w.r.IntN(2) == 0 {
			w.claim(w.apis[0], w.coupons[0], "u1")
		}
		<-time.After(wait)
	}
	require.NoError(w.t, w.gate.Open(ctx, []coupon.Opening{opening})[0])
	w.changed = time.Now()
}

// claim is a claim as a desk serves it. What comes from memory is held against what the gate would have said.
func (w *world) claim(a *api, c coupon.OpeningCoupon, user string) {
	id, ask := fmt.Sprint(c.CouponID, user), admission.Ask{UserID: user}
	if c.PerUserLimit > 1 {
		ask.Key = fmt.Sprint("k", w.r.IntN(2))
		id += ask.Key
	}
	promised, has := w.held[id]
	if out, refused := a.memory.Refuse(c.Ref, user); refused {
		require.False(w.t, has, "%s of coupon %d has place %d and hears %s", user, c.CouponID, promised.Seq, out.Verdict)
		w.memory++
		w.compare(c, ask, out)
		return
	}
	said := w.gate.Admit(context.Background(), []admission.Call{{Ref: c.Ref, Asks: []admission.Ask{ask}}})[0]
	if said.Err != nil {
		return // the gate is not sound
	}
	d := said.Decisions[0]
	a.memory.Met(c.Ref, d.Verdict)
	if has {
		require.Equal(w.t, promised.Seq, d.Seq)
	}
	if d.Verdict == coupon.Admitted {
		w.changed = time.Now()
	}
	if d.Verdict.Place() && w.r.IntN(10) != 0 { // else the journal never had it, and a rebuild drops it
		w.held[id] = coupon.Place{
			CouponID: c.CouponID, UserID: user, Nth: d.Nth, Seq: d.Seq, Epoch: said.Epoch, AcceptedAt: d.AcceptedAt, Key: ask.Key,
		}
	}
}

// compare holds a refusal from memory against the gate.
func (w *world) compare(c coupon.OpeningCoupon, ask admission.Ask, out admission.Outcome) {
	view := w.gate.Views(context.Background(), []coupon.Ref{c.Ref})[0]
	if view.Err != nil {
		return // the look was at a gate that is gone: nobody could have been given anything since
	}
	would := view.View.Shown(view.View.Now, view.View.Taken)
	require.NotEqual(w.t, coupon.ShownOpen, would, "%s hears %s from memory, and the gate gives places", ask.UserID, out.Verdict)
	require.WithinDuration(w.t, view.View.Now, out.Now, memoryTTL)
	// The memory's time runs ahead by what its look has taken: close to an edge of the window both answers are right.
	atEdge := would != view.View.Shown(out.Now, view.View.Taken)
	if time.Since(w.changed) > memoryTTL && !atEdge {
		truth := w.gate.Admit(context.Background(), []admission.Call{{Ref: c.Ref, Asks: []admission.Ask{ask}}})[0]
		require.NoError(w.t, truth.Err)
		require.Equal(w.t, truth.Decisions[0].Verdict, out.Verdict, "the gate has not changed for longer than M")
		if out.Verdict == coupon.NotOpen {
			require.True(w.t, truth.OpensAt.Equal(out.OpensAt))
		}
	}
}
