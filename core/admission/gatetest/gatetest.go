// Package gatetest is what every gate must do: one suite, named after the rules of the protocol, that runs on each
// implementation, and a comparison of two gates over random histories. A rule without a test here is a wish.
package gatetest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Gate is everything that a gate does, for whomever.
type Gate interface {
	admission.Gate
	Publishing
	Filling
	Reading
}

// Publishing opens gates and changes what they hold (rules 18, 25 to 27, 29).
type Publishing interface {
	Mark(ctx context.Context, marks []coupon.Mark) []coupon.MarkAnswer
	Open(ctx context.Context, openings []coupon.Opening) []error
	Join(ctx context.Context, c coupon.OpeningCoupon, epoch int64) error
	Change(ctx context.Context, change coupon.TermsChange) (epoch int64, err error)
}

// Filling loads what a rebuild has read (rules 22 to 24).
type Filling interface {
	LoadRows(ctx context.Context, m coupon.Mark, ref coupon.Ref, rows []coupon.Place) error
	LoadTail(ctx context.Context, m coupon.Mark, ref coupon.Ref, places []coupon.Place) (added int64, err error)
	Drop(ctx context.Context, m coupon.Mark, coupons []int64) error
}

// Reading is for those who only look.
type Reading interface {
	Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer
	Holder(ctx context.Context, ref coupon.Ref, userID string, nth int) (coupon.Place, coupon.Verdict, error)
	Sound(ctx context.Context, refs []coupon.Ref) []error
	EachName(ctx context.Context, ref coupon.Ref, each func(userID string)) error
}

// Harness is a gate and the hands that break it. Keys are named gate, members, coupon:<id>, holders:<id>, pending:<id>.
type Harness struct {
	Gate     Gate
	Now      func() time.Time      // the clock that the gate decides by
	SetTime  func(time.Time)       // stops that clock at an instant; nil where nobody can
	Restart  func(tag string)      // the tag's gate finds itself on another server (run id)
	Failover func(tag string)      // … or on the same server after another reigned (replication id)
	Flush    func(tag string)      // all keys of the tag are gone
	Lose     func(tag, key string) // one key is gone
	LoseOne  func(tag, key string) // one entry of it is gone: the first in byte order
}

// Run runs the suite. newHarness is called once for each test, and tests run in parallel: on a server that they share
// they keep apart by their tags, which are new for every test.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	t.Helper()
	for _, section := range []struct {
		name  string
		tests map[string]func(*fixture)
	}{
		{"rule 2 soundness", soundnessTests()},
		{"rule 3 admit", admitTests()},
		{"rule 3 window", windowTests()},
		{"rule 3 per-user limit", limitTests()},
		{"rule 3 event", eventTests()},
		{"rule 4 confirm", confirmTests()},
		{"rules 9 and 30 sweep", sweepTests()},
		{"rule 18 mark", markTests()},
		{"rules 22 to 24 load", loadTests()},
		{"rule 25 open", openTests()},
		{"rule 28 given back", returnedTests()},
		{"rule 29 join", joinTests()},
		{"rules 26 and 27 change", changeTests()},
		{"readers", readerTests()},
	} {
		t.Run(section.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range section.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(&fixture{T: t, Harness: newHarness(t), ctx: t.Context()})
				})
			}
		})
	}
}

// fixture is one test's gate and the steps that tests are told in.
type fixture struct {
	*testing.T
	Harness
	ctx context.Context //nolint:containedctx // the test's own
}

// wait is M in this suite: long enough for a real server's scheduling, short enough to wait for.
const wait = 60 * time.Millisecond

// advance moves the gate's clock, or waits for it.
func (f *fixture) advance(d time.Duration) {
	f.Helper()
	if f.SetTime != nil {
		f.SetTime(f.Now().Add(d))
		return
	}
	until := f.Now().Add(d)
	require.Eventually(f, func() bool { return !f.Now().Before(until) }, d+5*time.Second, 5*time.Millisecond)
}

func newID() int64 { return rand.Int64N(coupon.MaxID) + 1 } //nolint:gosec // an id is no secret

func count(n int64) *int64 { return &n }

// lone is an open coupon of no event with so many places; 0 is unlimited.
func (f *fixture) lone(places int64) coupon.OpeningCoupon {
	c := coupon.Coupon{ID: newID(), PerUserLimit: 1, Kind: coupon.FirstComeIssue, Terms: f.terms(places)}
	return coupon.OpeningCoupon{Ref: c.Ref([]int64{c.ID}), Terms: c.Terms}
}

// terms are open now and for an hour.
func (f *fixture) terms(places int64) coupon.Terms {
	t := coupon.Terms{
		State: coupon.StateOpen, OpensAt: f.Now().Add(-time.Hour), ClosesAt: f.Now().Add(time.Hour),
	}
	if places > 0 {
		t.Total = count(places)
	}
	return t
}

// event makes so many coupons of one new event, each with so many places.
func (f *fixture) event(coupons int, places int64) []coupon.OpeningCoupon {
	eventID := newID()
	ids := make([]int64, coupons)
	for i := range ids {
		ids[i] = newID()
	}
	made := make([]coupon.OpeningCoupon, coupons)
	for i, id := range ids {
		c := coupon.Coupon{ID: id, EventID: eventID, PerUserLimit: 1, Kind: coupon.FirstComeIssue, Terms: f.terms(places)}
		made[i] = coupon.OpeningCoupon{Ref: c.Ref(ids), Terms: c.Terms}
	}
	return made
}

// forUse turns a coupon of an event into one that is no member of it.
func forUse(c coupon.OpeningCoupon) coupon.OpeningCoupon {
	c.Member = false
	return c
}

// publish opens the gate of new coupons of one tag (rule 29) and cleans up after the test.
func (f *fixture) publish(coupons ...coupon.OpeningCoupon) {
	f.Helper()
	f.Cleanup(func() { f.Flush(coupons[0].Tag) })
	m := f.mark(coupons[0].Tag, 1)
	require.NoError(f, f.open(opening(m, coupons...)))
}

func opening(m coupon.Mark, coupons ...coupon.OpeningCoupon) coupon.Opening {
	return coupon.Opening{Mark: m, Event: len(coupons) > 0 && coupons[0].EventID != 0, Coupons: coupons}
}

func (f *fixture) mark(tag string, epoch int64) coupon.Mark {
	f.Helper()
	answer := f.Gate.Mark(f.ctx, []coupon.Mark{{Tag: tag, Epoch: epoch}})
	require.Len(f, answer, 1)
	require.NoError(f, answer[0].Err)
	require.NotEmpty(f, answer[0].Token)
	require.Equal(f, tag, answer[0].Tag)
	require.Equal(f, epoch, answer[0].Epoch)
	return answer[0].Mark
}

func (f *fixture) open(o coupon.Opening) error {
	f.Helper()
	errs := f.Gate.Open(f.ctx, []coupon.Opening{o})
	require.Len(f, errs, 1)
	return errs[0]
}

// rebuild opens the gate again at an epoch with these rows.
func (f *fixture) rebuild(epoch int64, c coupon.OpeningCoupon, rows ...coupon.Place) {
	f.Helper()
	m := f.mark(c.Tag, epoch)
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, rows))
	require.NoError(f, f.open(opening(m, filled(c, rows...))))
}

// filled is what an opening must say of a coupon with these rows.
func filled(c coupon.OpeningCoupon, rows ...coupon.Place) coupon.OpeningCoupon {
	c.Holders, c.Returned, c.LastSeq = int64(len(rows)), 0, 0
	for _, p := range rows {
		c.LastSeq = max(c.LastSeq, p.Seq)
		if p.Revoked {
			c.Returned++
		}
	}
	return c
}

// try asks for places and returns the whole answer.
func (f *fixture) try(ref coupon.Ref, asks ...admission.Ask) admission.Answer {
	f.Helper()
	answers := f.Gate.Admit(f.ctx, []admission.Call{{Ref: ref, Asks: asks}})
	require.Len(f, answers, 1)
	return answers[0]
}

// admit asks for places for users in one batch.
func (f *fixture) admit(ref coupon.Ref, users ...string) []admission.Decision {
	f.Helper()
	return f.admitAsks(ref, asksOf(users...)...)
}

func (f *fixture) admitAsks(ref coupon.Ref, asks ...admission.Ask) []admission.Decision {
	f.Helper()
	answer := f.try(ref, asks...)
	require.NoError(f, answer.Err)
	require.Len(f, answer.Decisions, len(asks))
	return answer.Decisions
}

func asksOf(users ...string) []admission.Ask {
	asks := make([]admission.Ask, len(users))
	for i, user := range users {
		asks[i].UserID = user
	}
	return asks
}

func verdicts(decisions []admission.Decision) []coupon.Verdict {
	out := make([]coupon.Verdict, len(decisions))
	for i, d := range decisions {
		out[i] = d.Verdict
	}
	return out
}

// confirm asks whether places stand.
func (f *fixture) confirm(ref coupon.Ref, places ...coupon.Place) []bool {
	f.Helper()
	answers := f.Gate.Confirm(f.ctx, []admission.ConfirmCall{{Ref: ref, Places: places}})
	require.Len(f, answers, 1)
	require.NoError(f, answers[0].Err)
	return answers[0].Stands
}

func place(user string, seq, epoch int64) coupon.Place {
	return coupon.Place{UserID: user, Nth: 1, Seq: seq, Epoch: epoch}
}

// row is a row of the ledger.
func (f *fixture) row(user string, seq int64) coupon.Place {
	return coupon.Place{UserID: user, Nth: 1, Seq: seq, AcceptedAt: f.Now().Add(-time.Minute)}
}

func (f *fixture) view(ref coupon.Ref) coupon.View {
	f.Helper()
	answers := f.Gate.Views(f.ctx, []coupon.Ref{ref})
	require.Len(f, answers, 1)
	require.NoError(f, answers[0].Err)
	return answers[0].View
}

func (f *fixture) sound(ref coupon.Ref) error {
	f.Helper()
	errs := f.Gate.Sound(f.ctx, []coupon.Ref{ref})
	require.Len(f, errs, 1)
	return errs[0]
}

// requireUnsound says that err is exactly this failed test of rule 2.
func (f *fixture) requireUnsound(err error, ref coupon.Ref, why coupon.UnsoundWhy) {
	f.Helper()
	var unsound *coupon.UnsoundError
	require.ErrorAs(f, err, &unsound)
	require.ErrorIs(f, err, coupon.ErrUnsound)
	require.Equal(f, coupon.UnsoundError{Tag: ref.Tag, Why: why}, *unsound)
}
