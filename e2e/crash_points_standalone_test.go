package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// The embedded stack dies as a whole at some of the points of docs/issuance-cycle.md, and starts again on its folder. Its
// Redis forgets everything then, so what is left is the journal and the ledger, and each start is a rebuild.
func TestCrashPointsOfTheWholeStack(t *testing.T) {
	t.Parallel()
	needPoints(t)
	for _, c := range []struct {
		point string
		kept  bool // what the gate had decided is in the journal, so the place is kept
		row   bool // and in the ledger
	}{
		{point: "claim.admitted"}, {point: "claim.journaled", kept: true}, {point: "consume.written", kept: true},
		{point: "consume.committed", kept: true, row: true},
	} {
		t.Run(c.point, func(t *testing.T) {
			s, coupon := soldOnce(t)
			victim := s.RestartDoomed(t, c.point)
			require.False(t, victim.Ended(), "%s", victim.Log())
			stack.Eventually(t, drainWithin, func() bool {
				_, _ = s.Claim(t.Context(), 0, coupon, "bob") // 503 while the gate is rebuilt; then it is the end
				return victim.Ended()
			}, "it comes to %s", c.point)
			killed(t, victim, c.point)
			require.Equal(t, c.row, s.rowOf(t, coupon, "bob") != 0, "a row is left")

			s.Restart(t, false)
			if !c.kept { // nobody heard of it, so nobody is missing it: the place goes to who asks now
				require.EqualValues(t, 2, s.seq(t, coupon, "carl"))
				require.EqualValues(t, 3, s.seq(t, coupon, "bob"))
			} else {
				require.EqualValues(t, 2, s.seq(t, coupon, "bob"), "the place that was decided before the crash")
				require.EqualValues(t, 3, s.seq(t, coupon, "carl"))
			}
			require.EqualValues(t, 1, s.seq(t, coupon, "ann"))
			stack.Eventually(t, drainWithin, func() bool { return s.whole(t, coupon, "ann", "bob", "carl") }, "whole")
			require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
		})
	}
	for _, point := range []string{"rebuild.marked", "rebuild.loaded", "rebuild.opened"} {
		t.Run(point, func(t *testing.T) {
			s, coupon := soldOnce(t)
			killed(t, s.RestartDoomed(t, point), point)
			s.Restart(t, false)
			require.EqualValues(t, 1, s.seq(t, coupon, "ann"))
			require.EqualValues(t, 2, s.seq(t, coupon, "bob"))
			stack.Eventually(t, drainWithin, func() bool { return s.whole(t, coupon, "ann", "bob") }, "whole")
		})
	}
	t.Run("change.at-gate", func(t *testing.T) {
		const point = "change.at-gate"
		s, coupon := soldOnce(t)
		victim := s.RestartDoomed(t, point)
		require.EqualValues(t, 1, s.seq(t, coupon, "ann"), "the gate is rebuilt")
		_, err := s.Do(t.Context(), 0, http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", coupon), s.Token("root", true),
			map[string]any{"total_quantity": 2, "reason": "the budget changed"})
		require.Error(t, err)
		killed(t, victim, point)
		s.Restart(t, false)
		stack.Eventually(t, s.bound[point]+loadSlack, func() bool { return s.changed(t, coupon, 2) && s.whole(t, coupon, "ann") },
			"the change is finished by the batch inside")
		require.EqualValues(t, 2, s.seq(t, coupon, "bob"))
		a, err := s.Claim(t.Context(), 0, coupon, "carl")
		require.NoError(t, err)
		require.Equal(t, "sold_out", a.Code())
	})
}

// soldOnce is an embedded stack with a coupon of three of which ann has one.
func soldOnce(t *testing.T) (scene, int64) {
	t.Helper()
	lease := fmt.Sprintf("FIRSTCOME_REBUILD_LEASE=%s", rebuildLease)
	s := scene{stack.Start(t, stack.Embedded, stack.Options{Env: []string{lease}}), bounds(t)}
	coupon := s.Coupon(t, map[string]any{"total_quantity": 3})
	require.EqualValues(t, 1, s.seq(t, coupon, "ann"))
	stack.Eventually(t, drainWithin, func() bool { return s.whole(t, coupon, "ann") }, "a row")
	return s, coupon
}

// seq is the number that the user is promised, when the gate decides again.
func (s scene) seq(t *testing.T, coupon int64, user string) int64 {
	t.Helper()
	return s.again(t, s.Procs[0], coupon, user).Seq
}
