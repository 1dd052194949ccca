package claimtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/anishathalye/porcupine"

	. "github.com/firstcome/firstcome/core/admission/claimtest" //nolint:revive // the histories below are a language of their own
)

// script builds a history in which each operation comes after the one before, unless it is said otherwise.
type script struct {
	now int64
	ops History
}

const m = 500 // ms

func (s *script) add(in Input, out Output, from, to int64) {
	s.ops = append(s.ops, porcupine.Operation{ClientId: len(s.ops), Input: in, Output: out, Call: from * 1e6, Return: to * 1e6})
}

func (s *script) then(in Input, out Output) *script {
	s.add(in, out, s.now, s.now+10)
	s.now += 20
	return s
}

// during adds an operation that begins now and lasts.
func (s *script) during(in Input, out Output, lasts int64) *script {
	s.add(in, out, s.now, s.now+lasts)
	s.now += 2
	return s
}

func (s *script) unknown(in Input) *script { return s.during(in, Output{Word: Unknown}, 1e9) }

// raise is a change that is answered now and holds M later.
func (s *script) raise(revision, places int) *script {
	s.add(Input{Kind: Holds, Revision: revision}, Output{Word: Done}, s.now+m, s.now+10+m)
	return s.then(Input{Kind: Change, Revision: revision, To: Terms{places, Open}}, Output{Word: Done})
}

func (s *script) pass(ms int64) *script { s.now += ms; return s }

func claim(user int) Input            { return Input{Kind: Claim, User: user} }
func claimOf(coupon, user int) Input  { return Input{Kind: Claim, Coupon: coupon, User: user} }
func number(n int) Output             { return Output{Seq: n} }
func word(w string) Output            { return Output{Word: w} }
func to(places int, st string) Input  { return Input{Kind: Change, Revision: 1, To: Terms{places, st}} }
func lose() Input                     { return Input{Kind: Lost} }
func me(user int) Input               { return Input{Kind: Me, User: user} }
func read() Input                     { return Input{Kind: Read} }
func left(n int, state string) Output { return Output{Word: state, Left: n} }

// one coupon of so many places.
func one(places int) Model { return Model{Coupons: []Terms{{places, Open}}, Dense: true} }

// lossy is one whose gate may be lost.
func lossy(places int) Model { return Model{Coupons: []Terms{{places, Open}}} }

// event is two coupons of a place each.
func event() Model { return Model{Coupons: []Terms{{1, Open}, {1, Open}}, Dense: true} }

func begin() *script { return &script{} }

func TestGoodHistoriesAreExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		model Model
		s     *script
	}{
		"the same number again":                {one(1), begin().then(claim(1), number(1)).then(claim(1), number(1)).then(claim(2), word(SoldOut)).then(me(1), number(1)).then(me(2), word(NoIssue))},
		"an unknown claim took the last place": {one(1), begin().unknown(claim(1)).then(claim(2), word(SoldOut)).then(claim(1), number(1))},
		"an unknown claim was done late":       {one(2), begin().unknown(claim(1)).then(me(1), word(NoIssue)).then(claim(2), number(1)).then(me(1), number(2))},
		"an unknown claim was never done":      {one(1), begin().unknown(claim(1)).then(claim(2), number(1)).then(claim(1), word(SoldOut))},
		"around a raise both are right": {one(1), begin().then(claim(1), number(1)).raise(1, 2).then(claim(2), word(SoldOut)).
			pass(m-35).then(claim(2), word(SoldOut)).pass(20).then(claim(2), number(2))},
		"the first of two raises never holds for itself": {one(1), begin().then(claim(1), number(1)).raise(1, 2).pass(m-100).raise(2, 3).
			pass(200).then(claim(2), word(SoldOut)).pass(m).then(claim(2), number(2)).then(claim(3), number(3))},
		"a lowering cuts a raise that waits": {one(1), begin().then(claim(1), number(1)).raise(1, 4).then(Input{Kind: Change, Revision: 2, To: Terms{2, Open}}, word(Done)).
			pass(m).then(claim(2), number(2)).then(claim(3), word(SoldOut))},
		"a pause":                      {one(1), begin().then(to(1, Paused), word(Done)).then(claim(1), word(Paused)).then(read(), left(1, Paused))},
		"below what is issued":         {one(2), begin().then(claim(1), number(1)).unknown(claim(2)).then(to(1, Open), word(BelowIssued)).then(claim(2), number(2))},
		"a place nobody heard of goes": {lossy(1), begin().unknown(claim(1)).then(claim(2), word(SoldOut)).then(lose(), word(Done)).then(claim(2), number(1)).then(claim(1), word(SoldOut))},
		"a place nobody heard of stays": {lossy(1), begin().unknown(claim(1)).then(claim(2), word(SoldOut)).then(lose(), word(Done)).
			then(claim(2), word(SoldOut)).then(claim(1), number(1))},
		"one of an event": {event(), begin().then(claimOf(0, 1), number(1)).then(claimOf(1, 1), word(EventLimit)).then(claimOf(1, 2), number(1))},
		"sold out, from memory, of a coupon that is paused by now": {Model{Coupons: []Terms{{1, Open}}, Dense: true, Remembers: true},
			begin().then(claim(1), number(1)).then(to(1, Paused), word(Done)).then(claim(2), word(SoldOut)).then(claim(2), word(Paused))},
		"at once in any order": {one(1), begin().during(claim(1), word(SoldOut), 50).during(claim(2), number(1), 50).during(claim(1), word(SoldOut), 50)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.True(t, c.model.Judge(t, c.s.ops))
		})
	}
}

func TestBadHistoriesAreNotExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		model Model
		s     *script
	}{
		"two users have one number":               {one(2), begin().then(claim(1), number(1)).then(claim(2), number(1))},
		"two users have one number after a loss":  {lossy(2), begin().then(claim(1), number(1)).then(lose(), word(Done)).then(claim(2), number(1))},
		"a number changes":                        {one(2), begin().then(claim(1), number(1)).then(claim(1), number(2))},
		"a number changes after a loss":           {lossy(2), begin().then(claim(1), number(1)).then(lose(), word(Done)).then(claim(1), number(2))},
		"sold out to a holder":                    {one(1), begin().then(claim(1), number(1)).then(claim(1), word(SoldOut))},
		"sold out to a holder after a loss":       {lossy(1), begin().then(claim(1), number(1)).then(lose(), word(Done)).then(claim(1), word(SoldOut))},
		"closed to a holder":                      {one(1), begin().then(claim(1), number(1)).then(to(1, Closed), word(Done)).then(claim(1), word(Closed))},
		"more than there are places":              {one(1), begin().then(claim(1), number(1)).then(claim(2), number(2))},
		"more than there are places after a loss": {lossy(1), begin().then(claim(1), number(1)).then(lose(), word(Done)).then(claim(2), number(2))},
		"sold out with places left":               {one(2), begin().then(claim(1), number(1)).then(claim(2), word(SoldOut))},
		"a place that nobody can have taken":      {one(2), begin().then(claim(2), word(SoldOut)).unknown(claim(1))},
		"an unknown place comes and goes":         {one(1), begin().unknown(claim(1)).then(claim(2), word(SoldOut)).then(claim(3), number(1))},
		"a refusal after a raise has held":        {one(1), begin().then(claim(1), number(1)).raise(1, 2).pass(m+20).then(claim(2), word(SoldOut))},
		"a place before a raise holds":            {one(1), begin().then(claim(1), number(1)).raise(1, 2).pass(m-100).then(claim(2), number(2))},
		"old and new by turns":                    {one(1), begin().then(claim(1), number(1)).during(to(2, Open), word(Unknown), 1e9).then(claim(2), number(2))},
		"lowered below what is issued":            {one(2), begin().then(claim(1), number(1)).then(claim(2), number(2)).then(to(1, Open), word(Done))},
		"not lowered, although nobody is in":      {one(2), begin().then(to(1, Open), word(BelowIssued))},
		"a place while paused":                    {one(1), begin().then(to(1, Paused), word(Done)).then(claim(1), number(1))},
		"sold out of a coupon that is paused":     {one(1), begin().then(claim(1), number(1)).then(to(1, Paused), word(Done)).then(claim(2), word(SoldOut))},
		"sold out from memory with places left": {Model{Coupons: []Terms{{2, Open}}, Remembers: true},
			begin().then(claim(1), number(1)).then(claim(2), word(SoldOut))},
		"paused from memory after it is open": {Model{Coupons: []Terms{{1, Open}}, Remembers: true},
			begin().then(claim(1), number(1)).then(claim(2), word(Paused))},
		"a gap in the numbers":             {one(3), begin().then(claim(1), number(1)).then(claim(2), number(3))},
		"a lost promise":                   {lossy(1), begin().then(claim(1), number(1)).then(lose(), word(Done)).then(me(1), word(NoIssue))},
		"two of an event":                  {event(), begin().then(claimOf(0, 1), number(1)).then(claimOf(1, 1), number(1))},
		"an event's limit without a place": {event(), begin().then(claimOf(1, 1), word(EventLimit))},
		"places left that are not":         {one(2), begin().then(claim(1), number(1)).then(read(), left(2, Open))},
		"open and full":                    {one(1), begin().then(claim(1), number(1)).then(read(), left(0, Open))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, err := c.model.Linearizable(c.s.ops)
			require.NoError(t, err)
			require.False(t, ok, "%s", c.s.ops)
		})
	}
}

// recorder keeps what a failing test would say.
type recorder struct {
	testing.TB
	dir  string
	said string
}

func (r *recorder) Helper()             {}
func (r *recorder) ArtifactDir() string { return r.dir }
func (r *recorder) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
}

func TestAFaultIsShownByItsSmallestHistory(t *testing.T) {
	t.Parallel()
	s := begin().then(claim(1), number(1))
	for user := 2; user < 6; user++ {
		s.then(me(user), word(NoIssue)).then(read(), left(1, Open))
	}
	s.then(claim(1), number(2)).then(claim(3), word(SoldOut)).then(claim(4), word(SoldOut))
	spy := &recorder{TB: t, dir: t.TempDir()}
	one(2).Judge(spy, s.ops)
	require.Contains(t, spy.said, "no order of these 2 operations (of 12)")
	require.Contains(t, spy.said, "claim(coupon 0, user 1) → number 2")
	require.Contains(t, spy.said, spy.dir)
	require.Equal(t, 1, strings.Count(spy.said, "number 1\n"))
}

func TestARecorderKnowsWhenWhatIsWiderHolds(t *testing.T) {
	t.Parallel()
	r := NewRecorder(time.Hour)
	r.Early, r.Late = time.Minute, 2*time.Minute
	r.Ask(0, Input{Kind: Change, Revision: 7}, func() Output { return word(Done) })
	r.Ask(0, claim(1), func() Output { return word(Unknown) })
	h := r.History()
	require.Len(t, h, 3)
	holds := h[slices.IndexFunc(h, func(op porcupine.Operation) bool { return op.Input.(Input).Kind == Holds })]
	require.Equal(t, 7, holds.Input.(Input).Revision)
	require.Equal(t, time.Hour-time.Minute, time.Duration(holds.Call-h[0].Call))
	require.Equal(t, time.Hour+2*time.Minute, time.Duration(holds.Return-h[0].Return))
	require.EqualValues(t, uint64(1<<63-1), h[1].Return, "it may be done at any time later")
}
