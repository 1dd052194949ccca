package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// drainWithin bounds the time from the last answer to the last row: 10,000 rows are written in a second or two.
const drainWithin = 60 * time.Second

// storm sends every user's claims at once over many connections and keeps every answer. Every tenth user asks twice at
// the same moment. An answer that says "repeat the request" is repeated, as a client of ours does.
type storm struct {
	coupon      int64
	users       int
	connections int
	prefix      string

	mu       sync.Mutex
	receipts map[string]stack.Receipt
	codes    map[string]int
	broken   []string
}

func (st *storm) run(t *testing.T, s *stack.Stack) {
	t.Helper()
	st.receipts, st.codes = map[string]stack.Receipt{}, map[string]int{}
	type ask struct {
		user string
		api  int
	}
	asks := make(chan ask, st.connections)
	var workers sync.WaitGroup
	for range st.connections {
		workers.Go(func() {
			for a := range asks {
				st.keep(t, a.user, st.ask(t.Context(), s, a.api, a.user))
			}
		})
	}
	for n, i := range rand.Perm(st.users) {
		user := st.user(i)
		asks <- ask{user, n}
		if i%10 == 0 {
			asks <- ask{user, n + 1}
		}
	}
	close(asks)
	workers.Wait()
	require.Empty(t, st.broken)
}

func (st *storm) user(i int) string { return fmt.Sprintf("%su-%06d", st.prefix, i) }

func (st *storm) ask(ctx context.Context, s *stack.Stack, api int, user string) stack.Answer {
	var a stack.Answer
	var err error
	for attempt := range 100 {
		a, err = s.Claim(ctx, api+attempt, st.coupon, user)
		if err == nil && a.Status != http.StatusServiceUnavailable {
			return a
		}
		select {
		case <-ctx.Done():
			return a
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil {
		a.Body = []byte(err.Error())
	}
	return a
}

func (st *storm) keep(t *testing.T, user string, a stack.Answer) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !a.Accepted() {
		st.codes[a.Code()]++
		if a.Code() != "sold_out" {
			st.broken = append(st.broken, fmt.Sprintf("%s: %d %s", user, a.Status, a.Body))
		}
		return
	}
	r := a.Receipt(t)
	if old, again := st.receipts[user]; again && old != r {
		st.broken = append(st.broken, fmt.Sprintf("%s got two receipts: %+v and %+v", user, old, r))
	}
	st.receipts[user] = r
}

// judge compares the receipts with the ledger and the journal once all is quiet.
func (st *storm) judge(t *testing.T, s *stack.Stack, limit int) {
	t.Helper()
	require.Len(t, st.receipts, limit, "as many receipts as places")
	stack.Eventually(t, drainWithin, func() bool {
		return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", st.coupon) >= int64(limit)
	}, "every receipt becomes a row")
	rows, err := s.SQL.QueryContext(t.Context(), "SELECT user_id, nth, seq FROM issues WHERE coupon_id = ?", st.coupon)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // read to its end
	seqs := map[int64]bool{}
	for rows.Next() {
		var user string
		var nth int
		var seq int64
		require.NoError(t, rows.Scan(&user, &nth, &seq))
		r, promised := st.receipts[user]
		require.True(t, promised, "%s has a row and no receipt", user)
		require.Equal(t, r.Seq, seq, "%s: receipt and row", user)
		require.Equal(t, r.Nth, nth)
		require.False(t, seqs[seq], "number %d twice", seq)
		require.True(t, seq >= 1 && seq <= int64(limit), "number %d of %d places", seq, limit)
		seqs[seq] = true
	}
	require.NoError(t, rows.Err())
	require.Len(t, seqs, limit, "over-issued or lost rows")
	require.Equal(t, int64(limit), s.Count(t, "SELECT issued_count FROM coupons WHERE id = ?", st.coupon))
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"), "nothing failed")
}

// A crowd four times as large as the sale, a tenth of it asking twice at once, over all apis: exactly as many receipts
// as places, all numbers different, every receipt a row, everybody else sold out, and a winner who asks again hears the
// same number.
func TestStormGivesExactlyTheCap(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		users, limit := 40_000, 10_000
		if testing.Short() {
			users, limit = 4_000, 1_000
		}
		st := &storm{coupon: s.Coupon(t, map[string]any{"total_quantity": limit}), users: users, connections: 256}
		st.run(t, s)
		st.judge(t, s, limit)
		require.Zero(t, len(st.codes)-1, "only sold_out beside the receipts: %v", st.codes)
		asked := 0
		for user, r := range st.receipts {
			if asked++; asked > 200 {
				break
			}
			a, err := s.Claim(t.Context(), asked, st.coupon, user)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, a.Status, "%s asks again: %s", user, a.Body)
			again := a.Receipt(t)
			require.Equal(t, r, again)
		}
		// I4: every row has its record in the journal.
		inJournal := map[string]bool{}
		for _, r := range s.Journal(t) {
			inJournal[r.Key] = true
		}
		for user := range st.receipts {
			require.True(t, inJournal[user], "%s has no record", user)
		}
	})
}
