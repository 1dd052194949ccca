package publish_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
)

func TestManyCouponsShareTheCallsAndAreOpenAtOnce(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		var drafts []coupon.Coupon
		for range 40 {
			drafts = append(drafts, s.draft(0, total(2)))
		}
		calls := map[string]int{}
		began := time.Now()
		results := s.publisher(func(op string, do func() error) error { calls[op]++; return do() }).Coupons(s.ctx, drafts)
		require.Zero(t, time.Since(began), "nothing is waited for: not M either")
		for i, r := range results {
			require.NoError(t, r.Err)
			require.Equal(t, drafts[i].Name, r.Coupon.Name)
			require.Equal(t, coupon.Admitted, s.claim(r.Coupon.ID, "ann"))
			require.EqualValues(t, 1, s.view(r.Coupon.ID).Epoch)
		}
		require.Equal(t, map[string]int{"Mark": 1, "Epochs": 1, "Open": 1, "CreateCoupons": calls["CreateCoupons"]}, calls)
	})
}

func TestABadCouponHurtsNoNeighbour(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		s.publish(0, nil)
		taken, bad, nowhere, good := s.draft(0, nil), s.draft(0, total(0)), s.draft(404, nil), s.draft(0, nil)
		taken.Name = "coupon 1"
		results := s.publisher(free).Coupons(s.ctx, []coupon.Coupon{taken, bad, nowhere, good})
		require.ErrorIs(t, results[0].Err, coupon.ErrNameTaken)
		var field *coupon.FieldError
		require.ErrorAs(t, results[1].Err, &field)
		require.Equal(t, "total_quantity", field.Field)
		require.ErrorIs(t, results[2].Err, coupon.ErrEventNotFound)
		require.NoError(t, results[3].Err)
		require.Equal(t, coupon.Admitted, s.claim(results[3].Coupon.ID, "ann"))
	})
}

func TestMoreCouponsThanGoTogether(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		var drafts []coupon.Coupon
		for range 1234 {
			drafts = append(drafts, s.draft(0, nil))
		}
		ids := map[int64]bool{}
		for _, r := range s.publisher(free).Coupons(s.ctx, drafts) {
			require.NoError(t, r.Err) // all ids are of one millisecond: some meet, and are made anew
			ids[r.Coupon.ID] = true
		}
		require.Len(t, ids, 1234)
	})
}

func TestCouponsOfAnEventJoinItsGate(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		event := s.event()
		first := s.publish(event.ID, total(2))
		require.Equal(t, coupon.Admitted, s.claim(first.ID, "ann"))
		results := s.publisher(free).Coupons(s.ctx, []coupon.Coupon{s.draft(event.ID, total(2)), s.draft(0, nil), s.draft(event.ID, nil)})
		for _, r := range results {
			require.NoError(t, r.Err)
			require.Equal(t, coupon.Admitted, s.claim(r.Coupon.ID, "user-of-"+r.Coupon.Name[7:]))
		}
		require.Equal(t, coupon.EventLimit, s.claim(results[0].Coupon.ID, "ann"))
	})
}

func TestAnEventIsCheckedBeforeItIsStored(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		now := time.Now()
		for field, e := range map[string]coupon.Event{
			"name":      {Name: strings.Repeat("x", 101), StartsAt: now, EndsAt: now.Add(1)},
			"ends_at":   {Name: "e", StartsAt: now, EndsAt: now},
			"starts_at": {Name: "e", EndsAt: now},
		} {
			_, err := s.publisher(free).Event(s.ctx, e)
			var bad *coupon.FieldError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, field, bad.Field)
		}
		s.event()
		_, err := s.publisher(free).Event(s.ctx, coupon.Event{Name: "e", StartsAt: now, EndsAt: now.Add(1)})
		require.ErrorIs(t, err, coupon.ErrNameTaken)
	})
}

func TestALostAnswerWhilePublishingIsSaid(t *testing.T) {
	for _, lost := range []string{"CreateCoupons", "Mark", "Epochs", "Open"} {
		t.Run(lost, func(t *testing.T) {
			open(t, func(t *testing.T, s *shop) {
				marks := 0
				results := s.publisher(func(op string, do func() error) error {
					if op == "Mark" {
						marks++
					}
					if err := do(); err != nil {
						return err
					}
					if op == lost && (op != "Open" || marks == 1) {
						marks += 10
						return stepped.ErrLost
					}
					return nil
				}).Coupons(s.ctx, []coupon.Coupon{s.draft(0, nil)})
				var kept *publish.KeptError
				switch lost {
				case "Open": // asked again: it is open
					require.NoError(t, results[0].Err)
				case "CreateCoupons":
					require.ErrorIs(t, results[0].Err, stepped.ErrLost)
					require.False(t, errors.As(results[0].Err, &kept), "nobody knows whether it is kept")
				default:
					require.ErrorAs(t, results[0].Err, &kept)
					require.Equal(t, results[0].Coupon.Tag(), s.asked[0].Tag, "a rebuild is asked for")
				}
				require.Less(t, marks, 12, "a mark is asked for once")
			})
		})
	}
}

func TestACouponWaitsForTheGateOfItsEvent(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		event := s.event()
		tag := coupon.EventTag(event.ID)
		s.gate.Flush("")
		healed := make(chan struct{})
		go func() {
			defer close(healed)
			pass(time.Second)
			s.rebuild(tag)
		}()
		c := s.publish(event.ID, nil)
		<-healed
		require.Equal(t, coupon.Admitted, s.claim(c.ID, "ann"))
		require.Equal(t, tag, s.asked[0].Tag)
	})
}

func TestNobodyWaitsTwiceForTheGateOfAnEvent(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		event := s.event()
		s.gate.Flush("")
		began := time.Now()
		var drafts []coupon.Coupon
		for range 20 {
			drafts = append(drafts, s.draft(event.ID, nil))
		}
		for i, r := range s.publisher(free).Coupons(s.ctx, drafts) {
			var kept *publish.KeptError
			require.ErrorAs(t, r.Err, &kept, fmt.Sprint(i))
			require.ErrorIs(t, r.Err, coupon.ErrUnsound)
			require.NotZero(t, r.Coupon.ID)
		}
		require.Less(t, time.Since(began), 4*time.Second)
	})
}

func TestTwoPublishersJoinOneEventAtOnce(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		event := s.event()
		var first, second []publish.Result
		a := stepped.Start("a", func(a *stepped.Actor) {
			first = s.publisher(a.Step).Coupons(s.ctx, []coupon.Coupon{s.draft(event.ID, nil)})
		})
		require.True(t, a.Until("Join")) // knows of no other coupon
		second = s.publisher(free).Coupons(s.ctx, []coupon.Coupon{s.draft(event.ID, nil)})
		a.Finish()
		require.NoError(t, first[0].Err)
		require.NoError(t, second[0].Err)
		require.Empty(t, s.asked, "an old list of the event's coupons is no reason for a rebuild")
		require.Equal(t, coupon.Admitted, s.claim(first[0].Coupon.ID, "ann"))
		require.Equal(t, coupon.Admitted, s.claim(second[0].Coupon.ID, "bob"))
	})
}

// A publisher fell asleep before its mark. Meanwhile a rebuild opened the gate, somebody got the first place, and Redis
// was lost: the mark of epoch 1 finds no gate to respect. The second look at the book's epoch is what keeps the publisher
// from opening an empty gate, whose first user would get ann's number.
func TestAPublisherThatWakesUpLateOpensNoEmptyGate(t *testing.T) {
	open(t, func(t *testing.T, s *shop) {
		var results []publish.Result
		late := stepped.Start("late", func(a *stepped.Actor) {
			results = s.publisher(a.Step).Coupons(s.ctx, []coupon.Coupon{s.draft(0, total(3))})
		})
		require.True(t, late.Until("Mark"))
		ids := s.book.IDs()
		require.Len(t, ids, 1)
		tag := coupon.TagOf(ids[0], 0)
		s.rebuild(tag)
		require.Equal(t, coupon.Admitted, s.claim(ids[0], "ann"))
		s.gate.Flush("")
		late.Finish()

		var kept *publish.KeptError
		require.ErrorAs(t, results[0].Err, &kept)
		require.ErrorIs(t, results[0].Err, coupon.ErrOvertaken)
		require.ErrorIs(t, s.gate.Sound(s.ctx, []coupon.Ref{s.ref(ids[0])})[0], coupon.ErrUnsound, "the gate stays shut")
		require.NotEmpty(t, s.asked, "a rebuild is asked for")
		s.rebuild(tag)
		require.Equal(t, coupon.Holder, s.claim(ids[0], "ann"), "the place is there again")
	})
}
