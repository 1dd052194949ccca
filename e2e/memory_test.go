package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// refusedFromMemory counts the claims that an api refused without the gate.
const refusedFromMemory = "firstcome_admission_memory_refused_total"

// askedOfTheGate counts the claims that an api asked the gate about.
func askedOfTheGate(t *testing.T, s *stack.Stack, i int) float64 {
	t.Helper()
	return s.Metric(t, i, "firstcome_admission_batch_size_sum", `call="admit"`)
}

// sellOut takes all places and returns who has them.
func sellOut(t *testing.T, s *stack.Stack, coupon int64, places int) map[string]stack.Receipt {
	t.Helper()
	winners := map[string]stack.Receipt{}
	for i := range places {
		user := fmt.Sprintf("winner-%d", i)
		stack.Eventually(t, drainWithin, func() bool {
			a, err := s.Claim(t.Context(), i, coupon, user)
			if err != nil || !a.Accepted() {
				return false
			}
			winners[user] = a.Receipt(t)
			return true
		}, "%s wins", user)
	}
	return winners
}

// untilRemembered asks an api for the coupon until it refuses from memory.
func untilRemembered(t *testing.T, s *stack.Stack, i int, coupon int64, code string) {
	t.Helper()
	before, n := s.Metric(t, i, refusedFromMemory), 0
	stack.Eventually(t, drainWithin, func() bool {
		n++
		a, err := s.Claim(t.Context(), i, coupon, fmt.Sprintf("early-loser-%d-%d", i, n))
		require.NoError(t, err)
		require.Equal(t, code, a.Code(), "%s", a.Body)
		return s.Metric(t, i, refusedFromMemory) > before
	}, "api %d refuses from memory", i)
}

// A sold-out coupon costs Redis nothing, and yet a winner who asks again hears the number.
func TestSoldOutIsRefusedFromMemory(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		const places, losers = 40, 1000
		coupon := s.Coupon(t, map[string]any{"total_quantity": places})
		winners := sellOut(t, s, coupon, places)
		for i := range s.APIs {
			untilRemembered(t, s, i, coupon, "sold_out")
		}
		asked := askedOfTheGate(t, s, 0)
		for n := range losers {
			a, err := s.Claim(t.Context(), 0, coupon, fmt.Sprintf("loser-%d", n))
			require.NoError(t, err)
			require.Equal(t, http.StatusConflict, a.Status)
			require.Equal(t, "sold_out", a.Code())
		}
		require.Less(t, askedOfTheGate(t, s, 0)-asked, float64(losers)/5,
			"one loser in a hundred is asked about, and all of them when a look comes late")
		for user, receipt := range winners {
			for i := range s.APIs {
				a, err := s.Claim(t.Context(), i, coupon, user)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, a.Status, "%s: %s", user, a.Body)
				require.Equal(t, receipt, a.Receipt(t))
			}
		}
	})
}

// A raise and a reopening end it everywhere, within a second of the admin's answer.
func TestNoApiRefusesOnAnOldState(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		coupon := s.Coupon(t, map[string]any{"total_quantity": 2})
		sellOut(t, s, coupon, 2)
		change := func(body map[string]any) time.Time {
			body["reason"] = "test"
			s.Must(t, http.StatusOK, http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", coupon), s.Token("root", true), body)
			return time.Now()
		}
		total := 2
		for round := range 3 {
			for i := range s.APIs {
				untilRemembered(t, s, i, coupon, "sold_out")
			}
			total += len(s.APIs)
			raised := change(map[string]any{"total_quantity": total})
			winsEverywhere(t, s, coupon, raised, fmt.Sprint("raised-", round))

			change(map[string]any{"state": "paused"})
			for i := range s.APIs {
				untilRemembered(t, s, i, coupon, "paused")
			}
			total += len(s.APIs)
			change(map[string]any{"total_quantity": total})
			reopened := change(map[string]any{"state": "open"})
			winsEverywhere(t, s, coupon, reopened, fmt.Sprint("reopened-", round))
		}
	})
}

// winsEverywhere has one user win at each api. Who asks later than a second after the change is not refused.
func winsEverywhere(t *testing.T, s *stack.Stack, coupon int64, changed time.Time, name string) {
	t.Helper()
	for i := range s.APIs {
		stack.Eventually(t, drainWithin, func() bool {
			asked := time.Now()
			a, err := s.Claim(t.Context(), i, coupon, fmt.Sprintf("%s-%d", name, i))
			require.NoError(t, err)
			if a.Status == http.StatusConflict {
				require.Less(t, asked.Sub(changed), time.Second, "api %d still refuses: %s", i, a.Body)
			}
			return a.Accepted()
		}, "api %d gives what was added", i)
	}
}

// An api that was stopped for a while, with a memory of "sold out", wakes up after a raise: it looks again first.
func TestAStoppedApiRefusesNobodyFromAnOldMemory(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Real, stack.Options{})
	coupon := s.Coupon(t, map[string]any{"total_quantity": 1})
	sellOut(t, s, coupon, 1)
	sleeper := s.Proc(t, s.APIs[1])
	for round := range 3 {
		untilRemembered(t, s, 1, coupon, "sold_out")
		sleeper.Pause(t)
		a, err := s.Do(t.Context(), 0, http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", coupon), s.Token("root", true),
			map[string]any{"total_quantity": 3 + 2*round, "reason": "test"})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		stack.Eventually(t, drainWithin, func() bool { // the raise holds
			a, err := s.Claim(t.Context(), 0, coupon, fmt.Sprintf("awake-%d", round))
			return err == nil && a.Accepted()
		}, "the other api gives what was added")
		// Asked while it sleeps, and when it wakes.
		early := make(chan stack.Answer, 1)
		go func() {
			a, err := s.Claim(t.Context(), 1, coupon, fmt.Sprintf("asleep-%d", round))
			if err != nil {
				t.Error(err)
			}
			early <- a
		}()
		sleeper.Resume(t)
		stack.Eventually(t, drainWithin, func() bool {
			a, err := s.Claim(t.Context(), 1, coupon, fmt.Sprintf("asleep-%d", round))
			require.NoError(t, err)
			require.NotEqual(t, "sold_out", a.Code())
			return a.Accepted()
		}, "it gives what was added")
		require.NotEqual(t, "sold_out", (<-early).Code())
	}
}
