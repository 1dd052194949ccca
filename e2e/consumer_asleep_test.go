package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// A consumer is stopped (SIGSTOP) in the middle of its transaction, with the gate's row locked and rows written. The
// database gives its locks free after wait_timeout, 5 s, so that the rebuild of a lost gate is not held up for longer;
// what the sleeper had in hand is written by somebody else when its session has run out; and when it wakes up, after
// both, it cannot commit what it began (rules 11 and 20).
func TestAConsumerAsleepInItsTransactionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Real, stack.Options{Consumers: 1})
	const limit, users = 100, 30
	coupon := s.Coupon(t, map[string]any{"total_quantity": limit})
	p := &promises{kept: map[string]stack.Receipt{}}
	p.ask(t, s, 0, coupon, "first")
	stack.Eventually(t, drainWithin, func() bool {
		return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon) == 1
	}, "the consumer works")
	var sleeper *stack.Proc
	for _, proc := range s.Procs {
		if proc.Role == "consumer" {
			sleeper = proc
		}
	}

	// Counters come last in a consumer's transaction: whoever holds the coupon's row stops it there, with all its locks.
	tx, err := s.SQL.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // after the Commit below it has nothing to undo
	var locked int64
	require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT id FROM coupons WHERE id = ? FOR UPDATE", coupon).Scan(&locked))
	for i := range users {
		p.ask(t, s, 0, coupon, fmt.Sprintf("u-%d", i))
	}
	require.Greater(t, len(p.kept), users/2)
	stack.Eventually(t, drainWithin, func() bool { return uncommitted(t, s.SQL, coupon) > 1 }, "rows are written and not committed")
	sleeper.Pause(t)
	asleep := time.Now()
	require.NoError(t, tx.Commit()) // the database goes on with the sleeper's statement; its client does not
	s.Launch(t, "consumer", nil)

	require.NoError(t, s.Redis.FlushDB(t.Context()).Err())
	lost := time.Now()
	stack.Eventually(t, drainWithin, func() bool {
		a, cerr := s.Claim(t.Context(), 0, coupon, "first")
		return cerr == nil && a.Status == http.StatusOK
	}, "the gate is rebuilt")
	rebuilt := time.Since(lost)
	stack.Eventually(t, drainWithin, func() bool {
		return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon) >= int64(len(p.kept))
	}, "somebody else writes what the sleeper had in hand")
	written := time.Since(asleep)
	before := s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon)
	sleeper.Resume(t)
	for i := range users { // everybody asks again, and hears the same number
		p.ask(t, s, i, coupon, fmt.Sprintf("u-%d", i))
	}
	p.judge(t, s, coupon, limit)
	require.GreaterOrEqual(t, s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon), before)
	require.Less(t, rebuilt, 40*time.Second, "wait_timeout frees the locks")
	t.Logf("gate rebuilt %v after its loss, rows written by another %v after the consumer fell asleep",
		rebuilt.Round(time.Millisecond), written.Round(time.Millisecond))
}

// uncommitted counts the rows of a coupon that a transaction under way has written.
func uncommitted(t *testing.T, db *sql.DB, coupon int64) (n int64) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadUncommitted})
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // only read
	require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon).Scan(&n))
	return n
}
