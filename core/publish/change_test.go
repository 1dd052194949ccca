package publish_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
)

func TestALoweringHoldsAtOnceAndARaiseAfterM(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(3))
		changed, err := s.publisher(free).Change(s.ctx, c.ID, lower(1))
		require.NoError(t, err)
		require.EqualValues(t, 1, *changed.Total)
		require.EqualValues(t, 1, *s.view(c.ID).Total)
		require.Equal(t, coupon.Admitted, s.claim(c.ID, "ann"))
		require.Equal(t, coupon.SoldOut, s.claim(c.ID, "bob"))

		generation := s.view(c.ID).Generation
		changed, err = s.publisher(free).Change(s.ctx, c.ID, lower(2))
		require.NoError(t, err)
		require.EqualValues(t, 2, *changed.Total, "the book has it")
		require.EqualValues(t, 1, *s.view(c.ID).Total, "a memory of \"sold out\" may be M old")
		require.True(t, s.view(c.ID).Changing)
		require.Greater(t, s.view(c.ID).Generation, generation)
		pass(m - time.Millisecond)
		require.Equal(t, coupon.SoldOut, s.claim(c.ID, "bob"))
		pass(time.Millisecond)
		require.Equal(t, coupon.Admitted, s.claim(c.ID, "bob"), "without a further step")
	})
}

func TestBelowWhatIsIssuedIsRefused(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(3))
		require.Equal(t, coupon.Admitted, s.claim(c.ID, "ann"))
		require.Equal(t, coupon.Admitted, s.claim(c.ID, "bob"))
		_, err := s.publisher(free).Change(s.ctx, c.ID, lower(1))
		require.ErrorIs(t, err, coupon.ErrBelowIssued)
		require.Zero(t, s.coupon(c.ID).Revision, "the rows alone say so")
		require.EqualValues(t, 3, *s.settled(c.ID).Total)
		_, err = s.publisher(free).Change(s.ctx, c.ID, lower(2))
		require.NoError(t, err)
	})
}

func TestBelowWhatIsPromisedAndNotYetIssuedIsRefused(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(3))
		s.admitOnly(c.ID, "ann")
		s.admitOnly(c.ID, "bob")
		_, err := s.publisher(free).Change(s.ctx, c.ID, lower(1))
		require.ErrorIs(t, err, coupon.ErrBelowIssued)
		require.Equal(t, publish.OutcomeRefused, s.book.Outcomes(c.ID)[1])
		require.EqualValues(t, 3, *s.settled(c.ID).Total)
	})
}

func TestPauseCloseAndReopen(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, nil)
		for _, step := range []struct {
			to   coupon.State
			says coupon.Verdict
		}{{coupon.StatePaused, coupon.Paused}, {coupon.StateClosed, coupon.Closed}, {coupon.StatePaused, coupon.Paused}, {coupon.StateOpen, coupon.Admitted}} {
			_, err := s.publisher(free).Change(s.ctx, c.ID, state(step.to))
			require.NoError(t, err)
			s.settled(c.ID)
			require.Equal(t, step.says, s.claim(c.ID, "ann"), step.to)
		}
	})
}

func TestAChangeThatNarrowsAndWidensTakesTwoRevisions(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(5))
		req := lower(9)
		req.State = state(coupon.StatePaused).State
		changed, err := s.publisher(free).Change(s.ctx, c.ID, req)
		require.NoError(t, err)
		require.EqualValues(t, 2, changed.Revision)
		view := s.view(c.ID)
		require.Equal(t, coupon.StatePaused, view.State, "the narrower part at once")
		require.EqualValues(t, 5, *view.Total)
		require.EqualValues(t, 9, *s.settled(c.ID).Total)
		changes := s.book.ChangesOf(c.ID)
		require.Equal(t, changes[0].Reason, changes[1].Reason)
	})
}

func TestAWindowMovesToWhereItDidNotTouchTheOldOne(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, nil)
		opens := c.ClosesAt.Add(time.Hour)
		changed, err := s.publisher(free).Change(s.ctx, c.ID, window(opens, opens.Add(time.Hour)))
		require.NoError(t, err)
		require.True(t, changed.OpensAt.Equal(opens))
		require.Equal(t, coupon.StateOpen, changed.State)
		require.NotEqual(t, coupon.StateOpen, s.view(c.ID).State, "nobody gets in between")
		s.settled(c.ID)
		require.Equal(t, coupon.NotOpen, s.claim(c.ID, "ann"))
		for _, step := range s.book.ChangesOf(c.ID) {
			require.NoError(t, step.To.Validate())
		}
	})
}

func TestBadRequestsTakeNoRevision(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(5))
		noReason, longReason := lower(3), lower(3)
		noReason.Reason, longReason.Reason = " ", strings.Repeat("x", 201)
		for field, req := range map[string]publish.ChangeRequest{
			"reason": noReason, "total_quantity": lower(0), "state": state("open?"), "closes_at": window(c.ClosesAt, c.OpensAt),
		} {
			_, err := s.publisher(free).Change(s.ctx, c.ID, req)
			var bad *coupon.FieldError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, field, bad.Field)
		}
		_, err := s.publisher(free).Change(s.ctx, c.ID, longReason)
		require.Error(t, err)
		_, err = s.publisher(free).Change(s.ctx, 404, lower(3))
		require.ErrorIs(t, err, coupon.ErrNotFound)
		require.Zero(t, s.coupon(c.ID).Revision)
	})
}

func TestAChangeWhoseGateIsNotSoundIsKeptAndCompleted(t *testing.T) {
	for name, req := range map[string]publish.ChangeRequest{"lower": lower(2), "raise": lower(9)} {
		t.Run(name, func(t *testing.T) {
			open(t, func(t *testing.T, s *shop) {
				c := s.publish(0, total(5))
				s.gate.NewServer()
				_, err := s.publisher(free).Change(s.ctx, c.ID, req)
				var kept *publish.KeptError
				require.ErrorAs(t, err, &kept)
				require.EqualValues(t, 1, kept.Revision)
				require.ErrorIs(t, err, coupon.ErrUnsound)
				require.ErrorContains(t, err, "kept as revision 1 and will be completed")
				require.Equal(t, []coupon.UnsoundError{{Tag: c.Tag(), Why: coupon.WhyForeign}}, s.asked)

				n, err := s.publisher(free).Finish(s.ctx)
				require.ErrorIs(t, err, coupon.ErrUnsound)
				require.Zero(t, n)
				s.rebuild(c.Tag())
				n, err = s.publisher(free).Finish(s.ctx)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.Equal(t, **req.Total, *s.settled(c.ID).Total)
				n, err = s.publisher(free).Finish(s.ctx)
				require.NoError(t, err)
				require.Zero(t, n)
			})
		})
	}
}

func TestFinishTakesAChangeFromWhereverItsMakerCrashed(t *testing.T) {
	mixed := lower(9)
	mixed.State = state(coupon.StatePaused).State
	for name, req := range map[string]publish.ChangeRequest{"lower": lower(2), "raise": lower(9), "both": mixed} {
		for steps := 1; steps < 8; steps++ {
			for _, lost := range []bool{false, true} { // the answer to the last step is lost instead
				t.Run(name, func(t *testing.T) {
					open(t, func(t *testing.T, s *shop) {
						c := s.publish(0, total(5))
						maker := s.admin("maker", c.ID, req)
						if lost {
							maker.Steps(steps - 1)
							if maker.Ended {
								return
							}
							maker.Say(stepped.Lose)
							maker.Finish()
						} else {
							maker.Steps(steps)
							maker.Kill()
						}
						for range 3 { // a half of a change may have to be begun by the first
							_, err := s.publisher(free).Finish(s.ctx)
							require.NoError(t, err)
						}
						require.Equal(t, **req.Total, *s.settled(c.ID).Total)
						if req.State != nil {
							require.Equal(t, *req.State, s.view(c.ID).State)
						}
						for _, outcome := range s.book.Outcomes(c.ID) {
							require.NotEmpty(t, outcome)
						}
					})
				})
			}
		}
	}
}

func TestAMakerAndFinishMayBothBeAtIt(t *testing.T) {
	mixed := lower(9)
	mixed.State = state(coupon.StatePaused).State
	for name, req := range map[string]publish.ChangeRequest{"lower": lower(2), "raise": lower(9), "both": mixed} {
		for before := range 7 {
			for between := range 8 {
				t.Run(name, func(t *testing.T) {
					open(t, func(t *testing.T, s *shop) {
						c := s.publish(0, total(5))
						maker := s.admin("maker", c.ID, req)
						maker.Steps(before + 1)
						var finishErr error
						finisher := stepped.Start("finisher", func(a *stepped.Actor) { _, finishErr = s.publisher(a.Step).Finish(s.ctx) })
						finisher.Steps(between)
						maker.Finish()
						finisher.Finish()
						require.NoError(t, finishErr)
						_, err := s.publisher(free).Finish(s.ctx)
						require.NoError(t, err)
						require.Equal(t, **req.Total, *s.settled(c.ID).Total)
						if maker.err != nil { // the other one was faster with the second half
							require.ErrorIs(t, maker.err, coupon.ErrSuperseded)
						}
					})
				})
			}
		}
	}
}

func TestARebuildBetweenGateAndBookIsNoticed(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(5))
		a := s.admin("a", c.ID, lower(2))
		require.True(t, a.Until("ApplyChange"))
		s.gate.Flush("")
		s.rebuild(c.Tag()) // it has read five places
		for _, user := range []string{"ann", "bob", "cid"} {
			require.Equal(t, coupon.Admitted, s.claim(c.ID, user))
		}
		a.Finish()
		require.ErrorIs(t, a.err, coupon.ErrBelowIssued, "the gate is asked again, and it has promised three")
		require.EqualValues(t, 5, *s.settled(c.ID).Total)
	})
}

func TestTheAdminMayLeaveAndTheChangeGoesOn(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(5))
		ctx, leave := contextWith(s)
		_, err := s.publisher(func(op string, do func() error) error {
			err := do()
			if op == "BeginChange" {
				leave()
			}
			return err
		}).Change(ctx, c.ID, lower(2))
		require.NoError(t, err)
		require.EqualValues(t, 2, *s.settled(c.ID).Total)
	})
}

func TestAnUnknownOutcomeIsNoRefusal(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		c := s.publish(0, total(5))
		gone := errors.New("timeout")
		_, err := s.publisher(func(op string, do func() error) error {
			if op == "Change" {
				return gone
			}
			return do()
		}).Change(s.ctx, c.ID, lower(2))
		var kept *publish.KeptError
		require.ErrorAs(t, err, &kept)
		require.ErrorIs(t, err, gone)
		_, err = s.publisher(free).Finish(s.ctx)
		require.NoError(t, err)
		require.EqualValues(t, 2, *s.settled(c.ID).Total)
	})
}

func TestACouponThatJoinsMeanwhileIsNoObstacle(t *testing.T) {
	for name, req := range map[string]publish.ChangeRequest{"lower": lower(2), "raise": lower(9)} {
		t.Run(name, func(t *testing.T) {
			open(t, func(t *testing.T, s *shop) {
				event := s.event()
				c := s.publish(event.ID, total(5))
				a := s.admin("a", c.ID, req)
				require.True(t, a.Until("Change")) // knows one coupon of the event
				s.publish(event.ID, total(5))
				a.Finish()
				require.NoError(t, a.err)
				require.Empty(t, s.asked)
				require.Equal(t, **req.Total, *s.settled(c.ID).Total)
			})
		})
	}
}
