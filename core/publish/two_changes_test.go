package publish_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
)

// admin is a change that takes its steps one at a time.
type admin struct {
	*stepped.Actor
	err     error
	changed coupon.Coupon
}

func (s *shop) admin(name string, id int64, req publish.ChangeRequest) *admin {
	a := &admin{}
	req.Reason = name
	a.Actor = stepped.Start(name, func(actor *stepped.Actor) {
		a.changed, a.err = s.publisher(actor.Step).Change(s.ctx, id, req)
	})
	return a
}

// weaves are all orders in which two actors of so many steps can take them.
func weaves(a, b int) []string {
	if a == 0 && b == 0 {
		return []string{""}
	}
	var out []string
	if a > 0 {
		for _, rest := range weaves(a-1, b) {
			out = append(out, "a"+rest)
		}
	}
	if b > 0 {
		for _, rest := range weaves(a, b-1) {
			out = append(out, "b"+rest)
		}
	}
	return out
}

func TestTwoChangesAtOnceInEveryOrderEndAlikeInGateAndBook(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // a bubble's
	requests := map[string]publish.ChangeRequest{
		"raise to 9": lower(9), "lower to 3": lower(3), "lower to 2": lower(2), "lower to 1, refused": lower(1),
		"pause": state(coupon.StatePaused), "unlimited": {Total: new(*int64)},
		"narrower window": window(now, now.Add(time.Minute)),
		"fewer, longer":   {Total: lower(3).Total, ClosesAt: window(now, now.Add(5*time.Hour)).ClosesAt},
	}
	names := slices.Sorted(maps.Keys(requests))
	for i, first := range names {
		for _, second := range names[i:] { // the other way round is another weave
			t.Run(first+" and "+second, func(t *testing.T) {
				open(t, func(t *testing.T, s *shop) {
					// Begin, gate, apply or end, end: the rest of a longer one comes after the weave.
					for _, weave := range weaves(4, 4) {
						s.weave(t, requests[first], requests[second], weave)
						if t.Failed() {
							t.Fatal(weave)
						}
					}
				})
			})
		}
	}
}

func (s *shop) weave(t *testing.T, first, second publish.ChangeRequest, weave string) {
	t.Helper()
	s = s.fresh(t)
	c := s.publish(0, total(5))
	assert.Equal(t, coupon.Admitted, s.claim(c.ID, "ann"))
	assert.Equal(t, coupon.Admitted, s.claim(c.ID, "bob"))
	a, b := s.admin("a", c.ID, first), s.admin("b", c.ID, second)
	for _, who := range weave {
		if who == 'a' {
			a.Steps(1)
		} else {
			b.Steps(1)
		}
	}
	a.Finish()
	b.Finish()

	end := s.settled(c.ID) // gate and book agree
	assert.GreaterOrEqual(t, last(end.Total), int64(2), "what is promised stays")
	for revision, outcome := range s.book.Outcomes(c.ID) {
		assert.NotEmpty(t, outcome, "revision %d", revision)
	}
	for _, x := range []*admin{a, b} {
		definite := x.err == nil || errors.Is(x.err, coupon.ErrSuperseded) || errors.Is(x.err, coupon.ErrBelowIssued)
		assert.True(t, definite, "%v", x.err)
	}
	// Whoever took the last revision decides what stands, unless it was refused.
	changes := s.book.ChangesOf(c.ID)
	if a.err == nil && b.err == nil {
		assert.True(t, end.Same(changes[len(changes)-1].To))
	}
	if errors.Is(a.err, coupon.ErrSuperseded) {
		assert.False(t, errors.Is(b.err, coupon.ErrSuperseded), "one of two wins")
	}
}

func last(total *int64) int64 {
	if total == nil {
		return 1 << 60
	}
	return *total
}

func TestTheLoserOfTwoNarrowingsHearsSuperseded(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(9))
		loser := s.admin("a", c.ID, lower(5))
		require.True(t, loser.Until("ApplyChange")) // at the gate already
		winner := s.admin("b", c.ID, state(coupon.StatePaused))
		require.True(t, winner.Until("ApplyChange"))
		loser.Finish()
		winner.Finish()
		require.ErrorIs(t, loser.err, coupon.ErrSuperseded)
		require.NoError(t, winner.err)
		end := s.settled(c.ID)
		require.EqualValues(t, 9, *end.Total, "the winner began with nine places, and a revision carries all terms")
		require.Equal(t, coupon.StatePaused, end.State)
		require.Equal(t, map[int64]string{1: publish.OutcomeSuperseded, 2: publish.OutcomeDone}, s.book.Outcomes(c.ID))
	})
}

func TestRaiseThenLowerBeforeTheRaiseHolds(t *testing.T) {
	for raiseAtGate, name := range map[bool]string{true: "the raise waits at the gate", false: "the raise has not reached the gate"} {
		t.Run(name, func(t *testing.T) {
			open(t, func(t *testing.T, s *shop) {
				c := s.publish(0, total(2))
				raise := s.admin("raise", c.ID, lower(8))
				require.True(t, raise.Until("Change"))
				if raiseAtGate {
					raise.Finish()
					require.NoError(t, raise.err)
				}
				changed, err := s.publisher(free).Change(s.ctx, c.ID, lower(5))
				require.NoError(t, err)
				require.EqualValues(t, 5, *changed.Total)
				require.EqualValues(t, 2, *s.view(c.ID).Total, "a lowering never widens what decides now")
				require.True(t, s.view(c.ID).Changing, "and nobody remembers a refusal")
				raise.Finish()
				require.EqualValues(t, 5, *s.settled(c.ID).Total)
				if !raiseAtGate {
					require.ErrorIs(t, raise.err, coupon.ErrSuperseded)
				}
			})
		})
	}
}

func TestARefusedChangeGivesBackWhatAnEarlierOneLeftAtTheGate(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(9))
		for _, user := range []string{"ann", "bob", "cid"} {
			require.Equal(t, coupon.Admitted, s.claim(c.ID, user))
		}
		loser := s.admin("a", c.ID, lower(5))
		require.True(t, loser.Until("ApplyChange"))
		refused := s.admin("b", c.ID, lower(3))
		require.True(t, refused.Until("Change"))
		require.Equal(t, coupon.Admitted, s.claim(c.ID, "dan")) // so three are too few by now
		loser.Finish()
		refused.Finish()
		require.ErrorIs(t, loser.err, coupon.ErrSuperseded)
		require.ErrorIs(t, refused.err, coupon.ErrBelowIssued)
		require.EqualValues(t, 9, *s.settled(c.ID).Total)
	})
}

func TestManyChangesAtOnceEndAlike(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(9))
		var admins []*admin
		for i := range int64(6) {
			admins = append(admins, s.admin(fmt.Sprint(i), c.ID, lower(12-i*2)))
		}
		for step := range 40 {
			admins[(step*5)%6].Steps(1)
		}
		for _, a := range admins {
			a.Finish()
		}
		s.settled(c.ID)
	})
}

func TestARefusedChangeIsOverAlsoForOneWhoWakesLate(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(3))
		s.admitOnly(c.ID, "ann")
		s.admitOnly(c.ID, "bob")
		maker := s.admin("maker", c.ID, lower(1))
		require.True(t, maker.Until("Change"))
		maker.Kill()
		pass(time.Minute)
		late := stepped.Start("late", func(a *stepped.Actor) { _, _ = s.publisher(a.Step).Finish(s.ctx) })
		require.True(t, late.Until("Change"))
		n, err := s.publisher(free).Finish(s.ctx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, publish.OutcomeRefused, s.book.Outcomes(c.ID)[1])

		s.gate.Flush("")
		s.rebuild(c.Tag()) // nobody was promised anything: nothing is admitted now
		late.Steps(1)
		late.Kill() // between gate and book
		require.EqualValues(t, 3, *s.settled(c.ID).Total, "what was refused is not in force, and nobody would take it back")
	})
}
