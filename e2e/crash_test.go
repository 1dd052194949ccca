package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// promises asks for many users and keeps what was promised, also while processes die: a question without an answer is
// kept as nothing.
type promises struct {
	mu   sync.Mutex
	kept map[string]stack.Receipt
	lied []string
}

func (p *promises) ask(t *testing.T, s *stack.Stack, api int, coupon int64, user string) {
	if a, err := s.Claim(t.Context(), api, coupon, user); err == nil {
		p.note(t, user, a)
	}
}

// note keeps an answer, and finds what contradicts an earlier one.
func (p *promises) note(t *testing.T, user string, a stack.Answer) {
	if !a.Accepted() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, promised := p.kept[user]; promised && a.Status != http.StatusServiceUnavailable {
			p.lied = append(p.lied, fmt.Sprintf("%s was promised and heard %d %s", user, a.Status, a.Body))
		}
		return
	}
	r := a.Receipt(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, again := p.kept[user]; again && (old.Seq != r.Seq || old.Nth != r.Nth) {
		p.lied = append(p.lied, fmt.Sprintf("%s was number %d and is number %d", user, old.Seq, r.Seq))
	}
	p.kept[user] = r
}

// judge waits until all is quiet and compares promises, rows and places.
func (p *promises) judge(t *testing.T, s *stack.Stack, coupon, limit int64) {
	t.Helper()
	require.Empty(t, p.lied)
	missing := func() (lost []string) {
		rows, err := s.SQL.QueryContext(t.Context(), "SELECT user_id, seq FROM issues WHERE coupon_id = ?", coupon)
		require.NoError(t, err)
		defer rows.Close() //nolint:errcheck // read to its end
		have := map[string]int64{}
		for rows.Next() {
			var user string
			var seq int64
			require.NoError(t, rows.Scan(&user, &seq))
			have[user] = seq
		}
		require.NoError(t, rows.Err())
		require.LessOrEqual(t, int64(len(have)), limit, "over-issued")
		for user, r := range p.kept {
			if have[user] != r.Seq {
				lost = append(lost, fmt.Sprintf("%s: number %d, row %d", user, r.Seq, have[user]))
			}
		}
		return lost
	}
	stack.Eventually(t, drainWithin, func() bool { return len(missing()) == 0 }, "every promise becomes a row: %v", missing)
	// I5: when all is quiet the gate has admitted exactly what the ledger has.
	asked := 0
	stack.Eventually(t, drainWithin, func() bool {
		asked++ // another api each time: one of them may be dead
		a, err := s.Do(t.Context(), asked, http.MethodGet, fmt.Sprintf("/v1/coupons/%d", coupon), "", nil)
		if err != nil || a.Status != http.StatusOK {
			return false
		}
		left, capped := a.JSON(t)["remaining"].(float64)
		issued := s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon)
		return capped && limit-int64(left) == issued &&
			issued == s.Count(t, "SELECT issued_count FROM coupons WHERE id = ?", coupon)
	}, "admitted = issued, no place is burned")
}

// The whole embedded stack is killed in the middle of a storm and started again on its folder, several times: every
// receipt that was given is a row with that number, nothing is over-issued, no place is burned, and the users who ask
// again hear their number.
func TestKilledInTheMiddleKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Embedded, stack.Options{})
	const limit = 3000
	coupon := s.Coupon(t, map[string]any{"total_quantity": limit})
	p := &promises{kept: map[string]stack.Receipt{}}
	const rounds, users = 3, 1200
	for round := range rounds {
		var workers sync.WaitGroup
		next := make(chan int)
		ctx, cancel := context.WithCancel(t.Context())
		for range 32 {
			workers.Go(func() {
				for i := range next {
					p.ask(t, s, 0, coupon, fmt.Sprintf("u-%d-%d", round, i))
				}
			})
		}
		go func() {
			defer close(next)
			for i := range users {
				select {
				case next <- i:
				case <-ctx.Done():
					return
				}
			}
		}()
		stack.Eventually(t, drainWithin, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.kept) > round*users+users/4
		}, "the storm has begun")
		s.Procs[0].Kill(t)
		cancel()
		workers.Wait()
		s.Restart(t, false)
		// Everybody of this round asks (again): who has a number keeps it.
		for i := range users {
			user := fmt.Sprintf("u-%d-%d", round, i)
			stack.Eventually(t, drainWithin, func() bool {
				p.ask(t, s, 0, coupon, user)
				p.mu.Lock()
				defer p.mu.Unlock()
				_, has := p.kept[user]
				full := len(p.kept) >= limit
				return has || full
			}, "%s gets an answer", user)
		}
	}
	require.Len(t, p.kept, limit, "sold out exactly")
	p.judge(t, s, coupon, limit)
}

// One of two apis, one of two consumers and the batch are killed in the middle of a storm on real servers, and others
// take over.
func TestKilledRolesLoseNothing(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Real, stack.Options{})
	const limit, users = 4000, 6000
	coupon := s.Coupon(t, map[string]any{"total_quantity": limit})
	p := &promises{kept: map[string]stack.Receipt{}}
	var workers sync.WaitGroup
	next := make(chan int)
	for range 64 {
		workers.Go(func() {
			for i := range next {
				p.ask(t, s, i, coupon, fmt.Sprintf("u-%d", i))
			}
		})
	}
	killAt := map[int]string{users / 4: "api", users / 3: "consumer", users / 2: "batch"}
	for i := range users {
		if role, now := killAt[i]; now {
			for _, proc := range s.Procs {
				if proc.Role == role {
					proc.Kill(t)
					break
				}
			}
		}
		next <- i
	}
	close(next)
	workers.Wait()
	// Everybody asks again at the api that lives, until there is a clear answer.
	alive := 1
	for i := range users {
		user := fmt.Sprintf("u-%d", i)
		stack.Eventually(t, drainWithin, func() bool {
			p.ask(t, s, alive, coupon, user)
			p.mu.Lock()
			defer p.mu.Unlock()
			_, has := p.kept[user]
			return has || len(p.kept) >= limit
		}, "%s gets an answer", user)
	}
	require.Len(t, p.kept, limit)
	p.judge(t, s, coupon, limit)
}

// Stopped gently and started again on the same folder: coupons, receipts and numbers are there, what was sold out
// stays sold out, and the numbers go on where they were.
func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Embedded, stack.Options{})
	soldOut := s.Coupon(t, map[string]any{"total_quantity": 2})
	open := s.Coupon(t, map[string]any{"total_quantity": 100})
	first := map[string]stack.Receipt{}
	for i, user := range []string{"ann", "bob"} {
		a, err := s.Claim(t.Context(), 0, soldOut, user)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, a.Status, "%s", a.Body)
		first[user] = a.Receipt(t)
		require.EqualValues(t, i+1, first[user].Seq)
		a, err = s.Claim(t.Context(), 0, open, user)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, a.Status, "%s", a.Body)
	}
	s.Restart(t, true)
	settled := func(coupon int64, user string) (a stack.Answer) {
		stack.Eventually(t, 30*time.Second, func() bool {
			var err error
			a, err = s.Claim(t.Context(), 0, coupon, user)
			return err == nil && a.Status != http.StatusServiceUnavailable
		}, "the gate is rebuilt by itself")
		return a
	}
	for user, receipt := range first {
		a := settled(soldOut, user)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, receipt, a.Receipt(t), "the same receipt")
	}
	require.Equal(t, "sold_out", settled(soldOut, "carl").Code())
	a := settled(open, "carl")
	require.Equal(t, http.StatusAccepted, a.Status, "%s", a.Body)
	require.EqualValues(t, 3, a.Receipt(t).Seq, "the numbers go on")
}
