package admission_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// sweeper returns a sweeper of the shop and its metrics, not yet running.
func (s *shop) sweeper(owner string) (*admission.Sweeper, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	return admission.NewSweeper(admission.SweeperDeps{
		Gate: s.gate, Journal: s.journal, Coupons: s.book, OnUnsound: s.onUnsound,
		Log: slog.New(slog.DiscardHandler), Registerer: registry, Owner: owner,
	}), registry
}

// run runs a sweeper until the returned function is called.
func (s *shop) run(sweeper *admission.Sweeper) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- sweeper.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(s.t, <-done)
	}
}

// orphans leaves n places pending at a coupon: decided, and nobody journaled them.
func (s *shop) orphans(couponID int64, n int) {
	s.journal.set(func(j *journal) { j.fails = true })
	for i := range n {
		_, err := s.desk.Claim(s.t.Context(), couponID, fmt.Sprintf("u%d-%d", couponID, i), "")
		require.Error(s.t, err)
	}
	s.journal.set(func(j *journal) { j.fails = false })
	require.EqualValues(s.t, n, s.view(couponID).Pending)
}

func gauge(t *testing.T, of *prometheus.Registry, name string) float64 {
	families, err := of.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue() // one of them is nil
		}
	}
	require.Fail(t, "no metric "+name)
	return 0
}

func TestTheSweeperJournalsWhatNobodyDidWithTheHoldersNumberAndTheGatesEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.orphans(7, 5)
		sweeper, registry := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait()
		require.Empty(t, s.journal.all(), "too young: its claim may still be under way")
		require.Zero(t, gauge(t, registry, "firstcome_admission_pending_places"))
		elapse(admission.DefaultSweepAge + 2*admission.DefaultSweepEvery)
		require.Zero(t, s.view(7).Pending, "within seconds")
		records := s.journal.all()
		require.Len(t, records, 5)
		for i, p := range records {
			again, err := s.desk.Claim(t.Context(), 7, p.UserID, "")
			require.NoError(t, err)
			require.True(t, again.Again)
			require.True(t, again.Place.AcceptedAt.Equal(p.AcceptedAt), "record %d", i)
			again.Place.AcceptedAt = p.AcceptedAt
			require.Equal(t, again.Place, p)
		}
	})
}

func TestTheSweeperTakesTheKeyAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		several := sale(7, 0)
		several.PerUserLimit = 3
		s.publish(several)
		s.journal.set(func(j *journal) { j.fails = true })
		for _, key := range []string{"k1", "k2"} {
			_, err := s.desk.Claim(t.Context(), 7, "alice", key)
			require.Error(t, err)
		}
		s.journal.set(func(j *journal) { j.fails = false })
		elapse(admission.DefaultSweepAge)
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait()
		records := s.journal.of("alice")
		require.Len(t, records, 2)
		slices.SortFunc(records, func(a, b coupon.Place) int { return a.Nth - b.Nth })
		require.Equal(t, "k1", records[0].Key)
		require.Equal(t, "k2", records[1].Key)
		require.Equal(t, 2, records[1].Nth)
	})
}

func TestTheSweeperDrainsALongBacklogInOnePass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.publish(sale(8, 0))
		s.orphans(7, 3*admission.MaxBatch+1)
		s.orphans(8, 1)
		elapse(admission.DefaultSweepAge)
		sweeper, registry := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait()
		require.Zero(t, s.view(7).Pending)
		require.Zero(t, s.view(8).Pending)
		require.EqualValues(t, 3*admission.MaxBatch+2, gauge(t, registry, "firstcome_admission_pending_places"))
		require.GreaterOrEqual(t, gauge(t, registry, "firstcome_admission_pending_oldest_seconds"), 3.0)
		elapse(2 * admission.DefaultSweepEvery)
		require.Zero(t, gauge(t, registry, "firstcome_admission_pending_places"))
		require.Zero(t, gauge(t, registry, "firstcome_admission_pending_oldest_seconds"))
	})
}

func TestTheSweeperSettlesALostAcknowledgement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.journal.set(func(j *journal) { j.loses = func(n int, _ coupon.Place) bool { return n < 2 } })
		_, err := s.desk.Claim(t.Context(), 7, "alice", "")
		require.Error(t, err)
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		elapse(10 * time.Second)
		require.Zero(t, s.view(7).Pending)
		records := s.journal.of("alice")
		require.Len(t, records, 3, "the claim's, the sweeper's with its ack lost too, and the one that was heard")
		require.Equal(t, records[0].Seq, records[2].Seq)
	})
}

func TestTheSweeperSurvivesAJournalThatFailsAndLeavesItAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		for id := range int64(20) {
			s.publish(sale(100+id, 0))
			s.orphans(100+id, 1)
		}
		elapse(admission.DefaultSweepAge)
		before := 0
		s.journal.set(func(j *journal) { j.fails, before = true, j.appends })
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		elapse(time.Minute)
		s.journal.set(func(j *journal) {
			attempts := j.appends - before
			assert.Greater(t, attempts, 5, "it goes on trying")
			assert.Less(t, attempts, 60, "with backoff, not 20 places a second")
			j.fails = false
		})
		elapse(10 * time.Second)
		for id := range int64(20) {
			require.Zero(t, s.view(100+id).Pending)
		}
	})
}

func TestAPlaceThatTheJournalFindsMalformedDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		for id := int64(7); id < 17; id++ {
			s.publish(sale(id, 0))
			s.orphans(id, 1)
		}
		s.journal.set(func(j *journal) { j.malformed = func(p coupon.Place) bool { return p.CouponID == 7 } })
		elapse(admission.DefaultSweepAge)
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait() // in one pass
		for id := int64(8); id < 17; id++ {
			require.Zero(t, s.view(id).Pending)
		}
		require.EqualValues(t, 1, s.view(7).Pending)
	})
}

func TestTheSweeperSurvivesAJournalThatSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.orphans(7, 3)
		wake := s.journal.sleep()
		sweeper, _ := s.sweeper("one")
		stop := s.run(sweeper)
		elapse(time.Minute)
		wake()
		elapse(10 * time.Second)
		require.Zero(t, s.view(7).Pending)
		s.journal.sleep()
		stop() // returns although an append may be under way
	})
}

func TestTheFirstPassNoticesEveryUnsoundGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		for id := range int64(600) {
			s.publish(sale(1000+id, 0))
		}
		s.mem.NewServer()
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait() // no time passes: the first pass is not paced and needs no claim
		require.Len(t, s.reported(), 600)
		require.Equal(t, coupon.UnsoundError{Tag: "c1000", Why: coupon.WhyForeign}, s.reported()[0])
	})
}

// A coupon that was just made is between ledger and gate: a rebuild now would overtake its publisher, who would have to
// answer "not known". If the publisher never comes, the sweeper reports it a little later.
func TestTheGateOfANewCouponIsLeftToItsPublisher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		elapse(time.Until(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))) // ids tell their age from 2026 on
		s.publish(sale(coupon.NewID(time.Now()), 0))
		s.mem.NewServer()
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait()
		require.Empty(t, s.reported())
		elapse(5 * time.Second)
		require.NotEmpty(t, s.reported())
	})
}

func TestLaterPassesArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		for id := range int64(600) {
			s.publish(sale(1000+id, 0))
		}
		sweeper, registry := s.sweeper("one")
		defer s.run(sweeper)()
		elapse(admission.DefaultSweepEvery + 2*time.Second)
		require.InDelta(t, 0.75, gauge(t, registry, "firstcome_admission_sweep_pass_seconds"), 0.01, "three pages")
	})
}

func TestOneUnsoundGateDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		for id := int64(7); id < 10; id++ {
			s.publish(sale(id, 0))
			s.orphans(id, 1)
		}
		s.mem.Lose("c8", "pending:8")
		elapse(admission.DefaultSweepAge)
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait()
		require.Zero(t, s.view(7).Pending)
		require.Zero(t, s.view(9).Pending)
		require.Equal(t, []coupon.UnsoundError{{Tag: "c8", Why: coupon.WhyPending}}, s.reported())
	})
}

func TestTheSweeperSurvivesALedgerAndAGateThatAreDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.orphans(7, 1)
		s.book.set(func(b *book) { b.err = errors.New("connection refused") })
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		elapse(time.Minute)
		s.book.set(func(b *book) {
			assert.Less(t, b.lists, 40, "with backoff")
			b.err = nil
		})
		s.gate.set(func(g *tap) { g.down = errors.New("i/o timeout") })
		elapse(time.Minute)
		require.Empty(t, s.reported(), "no answer is no reason for a rebuild")
		s.gate.set(func(g *tap) { g.down = nil })
		elapse(15 * time.Second)
		require.Zero(t, s.view(7).Pending)
	})
}

func TestACouponThatJoinedDoesNotMakeTheSweeperAskForARebuild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(event(7, 8)...)
		s.orphans(7, 1)
		s.journal.set(func(j *journal) { j.fails = true })
		elapse(admission.DefaultSweepAge)
		joined := false
		s.gate.set(func(g *tap) {
			g.beforeSweep = func() { // after the page was read
				if !joined {
					joined = true
					s.join(event(9)[0], 7, 8, 9)
				}
			}
		})
		s.journal.set(func(j *journal) { j.fails = false })
		sweeper, _ := s.sweeper("one")
		defer s.run(sweeper)()
		synctest.Wait()
		require.True(t, joined)
		require.Empty(t, s.reported())
		elapse(3 * time.Second)
		require.Zero(t, s.view(7).Pending)
	})
}

func TestTwoSweepersDoNoHarmAndShareTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.orphans(7, 10)
		elapse(admission.DefaultSweepAge)
		s.journal.set(func(j *journal) { j.took = 100 * time.Millisecond })
		one, _ := s.sweeper("one")
		two, _ := s.sweeper("two")
		defer s.run(one)()
		defer s.run(two)()
		elapse(5 * time.Second)
		require.Zero(t, s.view(7).Pending)
		require.Len(t, s.journal.all(), 10, "the lease kept the other one away")
	})
}

func TestTwoDesksAndTwoSweepersMayShareARegistry(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	for range 2 {
		desk := admission.NewDesk(admission.DeskDeps{Log: slog.New(slog.DiscardHandler), Registerer: registry})
		require.NoError(t, desk.Close(t.Context()))
		admission.NewSweeper(admission.SweeperDeps{Log: slog.New(slog.DiscardHandler), Registerer: registry})
	}
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}
