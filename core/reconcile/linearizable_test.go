package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/claimtest"
	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/reconcile"
)

// Many clients at once on one coupon, or on two of an event, while calls and answers are lost, arrive twice or never, an
// admin changes the cap and pauses, and the gate is lost and rebuilt: what they heard is what one counter could have said.

const (
	linClients = 8  // at once
	linAsks    = 6  // of each
	linUsers   = 10 // more than clients ask for at a time, fewer than they ask for in all: some ask again, some at once
	linTries   = 20 // of one claim that is not answered
	linM       = 20 * time.Millisecond
	// linSlack is how much the clocks of test and gate may differ: they are one host's.
	linSlack = 2 * time.Millisecond
)

// linCase is a kind of history.
type linCase struct {
	coupons int
	faults  int // of a hundred calls and answers
	changes bool
	losses  bool
}

func linCases() map[string]linCase {
	return map[string]linCase{
		"calm":                       {coupons: 1},
		"lost answers":               {coupons: 1, faults: 6},
		"changes":                    {coupons: 1, faults: 3, changes: true},
		"losses":                     {coupons: 1, faults: 3, losses: true},
		"changes and losses":         {coupons: 1, faults: 2, changes: true, losses: true},
		"event":                      {coupons: 2, faults: 3},
		"event, changes and losses":  {coupons: 2, faults: 2, changes: true, losses: true},
		"event, losses without rest": {coupons: 2, faults: 5, losses: true},
	}
}

func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	heard := map[string]int{}
	t.Cleanup(func() { // histories in which nothing happens prove nothing
		for _, answer := range []string{
			"a number", claimtest.SoldOut, claimtest.EventLimit, claimtest.Paused, claimtest.NoIssue, claimtest.Unknown,
			claimtest.Done, claimtest.BelowIssued,
		} {
			require.Positive(t, heard[answer], "nobody heard %s: %v", answer, heard)
		}
	})
	for name, c := range linCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			played(t, 12, func(seed uint64) bool {
				history, judged := newLinRun(t, c, seed, memgate.New(memgate.Options{}), nil).judge(t)
				mu.Lock()
				defer mu.Unlock()
				for _, op := range history {
					out, _ := op.Output.(claimtest.Output)
					if out.Seq > 0 {
						out.Word = "a number"
					}
					heard[out.Word]++
				}
				return judged
			})
		})
	}
}

// played plays histories until so many are judged; at most half as many again may be without a verdict.
func played(t *testing.T, histories int, play func(seed uint64) (judged bool)) {
	t.Helper()
	without, most := 0, 1+histories/2
	for seed := uint64(0); histories > 0; seed++ {
		if play(seed) {
			histories--
			continue
		}
		without++
		require.LessOrEqual(t, without, most, "histories without a verdict")
	}
}

func TestHistoriesOnTheScriptsAreLinearizable(t *testing.T) {
	t.Parallel()
	for name, c := range linCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := newRealGate(t)
			played(t, 3, func(seed uint64) bool {
				gate.Flush("")
				_, judged := newLinRun(t, c, seed, gate, nil).judge(t)
				return judged
			})
		})
	}
}

// The checker sees what these gates do wrong.
func TestGatesThatAreNotLinearizableAreFound(t *testing.T) {
	t.Parallel()
	for name, mutant := range map[string]func(gates) admission.Gate{
		"one place too many":          func(g gates) admission.Gate { return &overfull{Gate: g, spare: memgate.New(memgate.Options{})} },
		"forgets a holder":            func(g gates) admission.Gate { return &forgetful{Gate: g} },
		"remembers sold out for ever": func(g gates) admission.Gate { return &stubborn{Gate: g} },
		"two gates for one coupon":    func(g gates) admission.Gate { return &torn{Gate: g} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(40) {
				run := newLinRun(t, linCase{coupons: 1, changes: true}, seed, memgate.New(memgate.Options{}), mutant)
				ok, err := run.model.Linearizable(run.play())
				require.NoError(t, err)
				if !ok {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Fatal("no history of this gate is found to be wrong")
		})
	}
}

// linRun is one history in the making.
type linRun struct {
	linCase
	w      *world
	model  claimtest.Model
	record *claimtest.Recorder
	flaky  *flaky
	desk   *admission.Desk
	queue  *reconcile.Queue
	seed   uint64
	name   string
}

func newLinRun(t *testing.T, c linCase, seed uint64, gate gates, mutant func(gates) admission.Gate) *linRun {
	t.Helper()
	book := fakebook.NewBook()
	r := &linRun{linCase: c, w: worldOf(t, book, gate), record: claimtest.NewRecorder(linM), seed: seed, name: t.Name()}
	r.w.m, r.w.prefix = linM, fmt.Sprintf("%s %d ", t.Name(), seed)
	r.record.Early, r.record.Late = linSlack, linSlack
	r.model.Dense = !c.losses
	event := int64(0)
	if c.coupons > 1 {
		event = r.w.event()
	}
	for range c.coupons {
		r.w.publish(event, total(4), 1)
		r.model.Coupons = append(r.model.Coupons, claimtest.Terms{Cap: 4, State: claimtest.Open})
	}
	var at admission.Gate = gate
	if mutant != nil {
		at = mutant(gate)
	}
	r.flaky = &flaky{percent: c.faults, random: rand.New(rand.NewPCG(seed, 1))}
	r.queue = reconcile.NewQueue(reconcile.QueueDeps{
		Rebuilder: r.w.rebuilder("queue", nil), Gates: gate, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	r.desk = admission.NewDesk(admission.DeskDeps{
		Gate: &flakyGate{Gate: at, flaky: r.flaky}, Journal: &flakyLog{log: r.w.log, flaky: r.flaky}, Refs: linRefs{book},
		OnUnsound: func(e coupon.UnsoundError) { r.queue.Ask(e.Tag) }, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), AnswerTimeout: 10 * time.Second,
	})
	return r
}

func (r *linRun) judge(t *testing.T) (history claimtest.History, judged bool) {
	t.Helper()
	history = r.play()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", r.seed)
		}
	}()
	return history, r.model.Judge(t, history)
}

// play lets everybody ask at once, with consumers, sweeper and rebuilds behind them, and returns what was heard.
func (r *linRun) play() claimtest.History {
	ctx, stop := context.WithCancel(context.Background())
	var behind, clients sync.WaitGroup
	behind.Go(func() { _ = r.queue.Run(ctx) }) // it ends with ctx
	behind.Go(func() { r.consume(ctx) })
	behind.Go(func() { r.sweep(ctx) })
	for client := range linClients {
		clients.Go(func() { r.client(client) })
	}
	if r.changes {
		clients.Go(r.admin)
	}
	if r.losses {
		clients.Go(r.loser)
	}
	clients.Wait()
	// Everybody asks once more when nothing is lost any more: what was unknown is known then.
	r.flaky.rest()
	for user := range linUsers {
		for c := range r.coupons {
			r.me(linClients, c, user)
		}
	}
	stop()
	behind.Wait()
	deadline, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(r.w.t, r.desk.Close(deadline))
	return r.record.History()
}

func (r *linRun) client(client int) {
	random := rand.New(rand.NewPCG(r.seed, uint64(client)+10))
	for range linAsks {
		c, user := random.IntN(r.coupons), random.IntN(linUsers)
		switch n := random.IntN(10); {
		case n < 7:
			for try := 0; !r.claim(client, c, user) && random.IntN(5) > 0 && try < linTries; try++ {
				pass(linM / 4) // the user asks again, or goes away
			}
		case n < 9:
			r.me(client, c, user)
		case !r.losses: // without a gate readers are told what the ledger has
			r.read(client, c)
		}
		if r.changes || r.losses { // a history as long as a few of M
			pass(time.Duration(random.IntN(15)) * time.Millisecond)
		}
	}
}

// pass lets some time pass.
func pass(d time.Duration) { <-time.After(d) }

func userName(user int) string { return fmt.Sprintf("user-%d", user) }

// claim says whether there was an answer.
func (r *linRun) claim(client, c, user int) bool {
	in := claimtest.Input{Kind: claimtest.Claim, Coupon: c, User: user}
	answer := r.record.Ask(client, in, func() claimtest.Output {
		out, err := r.desk.Claim(context.Background(), r.w.ids[c], userName(user), "")
		switch {
		case err != nil:
			return claimtest.Output{Word: claimtest.Unknown}
		case out.Verdict.Place():
			return claimtest.Output{Seq: int(out.Seq)}
		default:
			return claimtest.Output{Word: string(out.Verdict.Code())}
		}
	})
	return answer.Word != claimtest.Unknown
}

func (r *linRun) me(client, c, user int) {
	in := claimtest.Input{Kind: claimtest.Me, Coupon: c, User: user}
	r.record.Ask(client, in, func() claimtest.Output {
		place, verdict, err := r.w.gate.Holder(context.Background(), r.w.ref(r.w.ids[c]), userName(user), 0)
		switch {
		case err != nil || verdict == coupon.Pending:
			return claimtest.Output{Word: claimtest.Unknown}
		case verdict == 0:
			return claimtest.Output{Word: claimtest.NoIssue}
		default:
			return claimtest.Output{Seq: int(place.Seq)}
		}
	})
}

func (r *linRun) read(client, c int) {
	r.record.Ask(client, claimtest.Input{Kind: claimtest.Read, Coupon: c}, func() claimtest.Output {
		answer := r.w.gate.Views(context.Background(), []coupon.Ref{r.w.ref(r.w.ids[c])})[0]
		if answer.Err != nil {
			return claimtest.Output{Word: claimtest.Unknown}
		}
		left := int(max(0, *answer.View.Total-answer.View.Taken))
		word := string(answer.View.State)
		if word == claimtest.Open && left == 0 {
			word = claimtest.SoldOut
		}
		return claimtest.Output{Word: word, Left: left}
	})
}

// admin changes the terms, one change after the other, now and then before the last one holds.
func (r *linRun) admin() {
	random := rand.New(rand.NewPCG(r.seed, 2))
	for revision := 1; revision <= 5; revision++ {
		to := claimtest.Terms{Cap: 1 + random.IntN(7), State: claimtest.Open}
		if random.IntN(4) == 0 {
			to.State = claimtest.Paused
		}
		c := random.IntN(r.coupons)
		in := claimtest.Input{Kind: claimtest.Change, Coupon: c, Revision: revision, To: to}
		out := r.record.Ask(linClients+1, in, func() claimtest.Output { return r.change(c, to) })
		if out.Word == claimtest.Unknown {
			return // it may be done at any time: nothing can be said of one that comes after it
		}
		pass(time.Duration(random.IntN(40)) * time.Millisecond)
	}
}

func (r *linRun) change(c int, to claimtest.Terms) claimtest.Output {
	places, open := total(int64(to.Cap)), coupon.State(to.State)
	_, err := r.w.publisher(nil).Change(context.Background(), r.w.ids[c], publish.ChangeRequest{
		Total: &places, State: &open, Reason: "history", By: "admin",
	})
	switch {
	case err == nil:
		return claimtest.Output{Word: claimtest.Done}
	case errors.Is(err, coupon.ErrBelowIssued):
		return claimtest.Output{Word: claimtest.BelowIssued}
	case errors.Is(err, coupon.ErrSuperseded):
		return claimtest.Output{Word: claimtest.Superseded}
	default:
		return claimtest.Output{Word: claimtest.Unknown}
	}
}

// loser loses the gate, or something of it, and waits until it is back.
func (r *linRun) loser() {
	random := rand.New(rand.NewPCG(r.seed, 3))
	id := r.w.ids[0]
	ref := r.w.ref(id)
	for range 2 {
		pass(time.Duration(10+random.IntN(30)) * time.Millisecond)
		r.record.Ask(linClients+2, claimtest.Input{Kind: claimtest.Lost}, func() claimtest.Output {
			switch random.IntN(4) {
			case 0:
				r.w.gate.Flush(ref.Tag)
			case 1:
				r.w.gate.NewServer()
			case 2:
				r.w.gate.Lose(ref.Tag, "gate")
			default:
				r.w.gate.Lose(ref.Tag, fmt.Sprintf("coupon:%d", id))
			}
			r.queue.Ask(ref.Tag)
			require.Eventually(r.w.t, func() bool {
				return r.w.gate.Sound(context.Background(), []coupon.Ref{ref})[0] == nil
			}, time.Minute, time.Millisecond)
			return claimtest.Output{Word: claimtest.Done}
		})
	}
}

func (r *linRun) consume(ctx context.Context) {
	for ctx.Err() == nil {
		fakebook.ConsumeAll(r.w.book, r.w.log)
		pause(ctx, 5*time.Millisecond)
	}
}

func (r *linRun) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		for _, id := range r.w.ids {
			ref := r.w.ref(id)
			places, err := r.w.gate.Sweepable(ctx, ref, admission.Sweep{Age: linM / 4, Limit: 100, Owner: "sweeper", Lease: time.Second})
			if err != nil || len(places) == 0 {
				continue
			}
			for _, p := range places {
				_ = r.w.log.Append(ctx, p) // in memory: it never fails
			}
			r.w.gate.Confirm(ctx, []admission.ConfirmCall{{Ref: ref, Places: places}})
		}
		pause(ctx, 5*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// linRefs reads the book each time.
type linRefs struct{ *fakebook.Book }

func (r linRefs) Ref(ctx context.Context, id int64) (coupon.Ref, error) { return r.Refresh(ctx, id) }

var errLost = errors.New("lost")

// flaky decides what becomes of a call.
type flaky struct {
	mu      sync.Mutex
	percent int
	random  *rand.Rand
}

func (f *flaky) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.percent = 0
}

// call makes a call never, once or twice; an error is one whose outcome the caller does not know.
func (f *flaky) call(do func() error) error {
	f.mu.Lock()
	roll := f.random.IntN(300)
	percent := f.percent
	f.mu.Unlock()
	switch {
	case roll < percent: // it never arrived
		return errLost
	case roll < 2*percent: // its answer is lost
		_ = do()
		return errLost
	case roll < 3*percent: // it arrived twice
		_ = do()
		return do()
	default:
		return do()
	}
}

type flakyGate struct {
	admission.Gate
	flaky *flaky
}

func (g *flakyGate) Admit(ctx context.Context, calls []admission.Call) (answers []admission.Answer) {
	err := g.flaky.call(func() error { answers = g.Gate.Admit(ctx, calls); return nil })
	if err != nil {
		answers = make([]admission.Answer, len(calls))
		for i := range answers {
			answers[i].Err = err
		}
	}
	return answers
}

func (g *flakyGate) Confirm(ctx context.Context, calls []admission.ConfirmCall) (answers []admission.ConfirmAnswer) {
	err := g.flaky.call(func() error { answers = g.Gate.Confirm(ctx, calls); return nil })
	if err != nil {
		answers = make([]admission.ConfirmAnswer, len(calls))
		for i := range answers {
			answers[i].Err = err
		}
	}
	return answers
}

type flakyLog struct {
	log   *fakebook.Log
	flaky *flaky
}

func (l *flakyLog) Append(ctx context.Context, p coupon.Place) error {
	return l.flaky.call(func() error { return l.log.Append(ctx, p) })
}

// overfull lets one user too many in.
type overfull struct {
	admission.Gate
	spare *memgate.Gate
	mu    sync.Mutex
	extra string
}

func (g *overfull) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	answers := g.Gate.Admit(ctx, calls)
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, a := range answers {
		for j, d := range a.Decisions {
			user := calls[i].Asks[j].UserID
			if d.Verdict == coupon.SoldOut && (g.extra == "" || g.extra == user) {
				g.extra = user
				a.Decisions[j] = admission.Decision{Verdict: coupon.Holder, Nth: 1, Seq: 99}
			}
		}
	}
	return answers
}

// forgetful gives a holder another number now and then.
type forgetful struct {
	admission.Gate
	mu sync.Mutex
	n  int
}

func (g *forgetful) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	answers := g.Gate.Admit(ctx, calls)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range answers {
		for j, d := range a.Decisions {
			if g.n++; d.Verdict == coupon.Holder && g.n%3 == 0 {
				a.Decisions[j].Seq++
			}
		}
	}
	return answers
}

// stubborn goes on refusing whom it has refused because nothing was left.
type stubborn struct {
	admission.Gate
	mu   sync.Mutex
	full bool
}

func (g *stubborn) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	answers := g.Gate.Admit(ctx, calls)
	for _, a := range answers {
		for j, d := range a.Decisions {
			g.full = g.full || d.Verdict == coupon.SoldOut
			if g.full && d.Verdict == coupon.Pending {
				a.Decisions[j] = admission.Decision{Verdict: coupon.SoldOut}
			}
			if g.full && d.Verdict == coupon.Holder {
				a.Decisions[j] = admission.Decision{Verdict: coupon.SoldOut}
			}
		}
	}
	return answers
}

// torn numbers the users of each half by itself.
type torn struct{ admission.Gate }

func (g *torn) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	answers := g.Gate.Admit(ctx, calls)
	for _, a := range answers {
		for j, d := range a.Decisions {
			if d.Verdict == coupon.Holder {
				a.Decisions[j].Seq = (d.Seq + 1) / 2
			}
		}
	}
	return answers
}
