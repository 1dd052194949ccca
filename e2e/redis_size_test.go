package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// How long it takes, and how much memory, to bring back a Redis that held much:
//
//	FIRSTCOME_TEST_SIZES=1 go test -run 'TestAMillionHolders|TestTenThousandGates' -v ./e2e
//
// It takes minutes, most of which go by before the measured part, so it is no part of make test-real.
func sized(t *testing.T) {
	t.Helper()
	if os.Getenv("FIRSTCOME_TEST_SIZES") == "" {
		t.Skip("takes minutes and tells figures: FIRSTCOME_TEST_SIZES=1 runs it")
	}
}

func TestAMillionHoldersComeBack(t *testing.T) {
	sized(t)
	const holders = 1_000_000
	l := newLab(t)
	coupon := l.Coupon(t, map[string]any{"total_quantity": nil})
	insertRows(t, l.Stack, coupon, holders)
	require.NoError(t, l.master.FlushAll(t.Context()).Err())
	l.Procs[len(l.Procs)-1].Stop(t) // batch serve, so that this process alone rebuilds
	tag := fmt.Sprintf("c%d", coupon)
	began := time.Now()
	out, rss, err := l.Measured(t, "batch", "rebuild", "--tag", tag, "--force")
	took := time.Since(began)
	require.NoError(t, err, out)
	a, err := l.Claim(t.Context(), 0, coupon, "u-000000007")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
	require.EqualValues(t, 8, a.Receipt(t).Seq)
	require.EqualValues(t, holders, l.master.HLen(t.Context(), "fc:{"+tag+"}:holders:"+fmt.Sprint(coupon)).Val())
	require.Less(t, rss, int64(200<<20), "what a rebuild holds does not grow with the holders")
	t.Logf("%d holders: %.1f s with the start of the process, peak memory of the process %d MB\n%s", holders, took.Seconds(), rss>>20, out)
}

// insertRows makes rows without claims, in ten thousands; nobody compares them with the journal here.
func insertRows(t *testing.T, s *stack.Stack, coupon int64, n int) {
	t.Helper()
	const page = 10_000 // four digits
	const digit = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 " +
		"UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	for from := 0; from < n; from += page { // the server makes the rows itself
		_, err := s.SQL.ExecContext(t.Context(), "INSERT INTO issues (coupon_id,user_id,nth,seq,epoch,status,accepted_at,issued_at) "+
			"SELECT ?, CONCAT('u-', LPAD(i, 9, '0')), 1, i + 1, 1, 'issued', NOW(6), NOW(6) FROM "+
			"(SELECT ? + a.d + 10 * b.d + 100 * c.d + 1000 * e.d i FROM "+digit+" a, "+digit+" b, "+digit+" c, "+digit+" e) numbers",
			coupon, from)
		require.NoError(t, err)
	}
	_, err := s.SQL.ExecContext(t.Context(), "UPDATE coupons SET issued_count = ? WHERE id = ?", n, coupon)
	require.NoError(t, err)
}

// newCoupon is for how long the gates of new coupons are left to their publishers.
const newCoupon = 2 * time.Second

// All share one wait: nearly all gates come back in one rebuild, or in two when another process had noticed many of them
// meanwhile. Those that are asked for have small ones of their own before, a few on each api.
func TestTenThousandGatesComeBackTogether(t *testing.T) {
	sized(t)
	const fewPasses = 8
	const coupons, hot = 10_000, 5
	l := newLab(t)
	vendor := l.Vendor(t)
	var mu sync.Mutex
	var ids []int64
	var makers sync.WaitGroup
	for range 32 {
		makers.Go(func() {
			for range coupons / 32 {
				id := l.Coupon(t, map[string]any{"total_quantity": 100, "vendor_id": vendor})
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	makers.Wait()
	for i, id := range ids[:hot] {
		a, err := l.Claim(t.Context(), i, id, "first")
		require.NoError(t, err)
		require.True(t, a.Accepted(), "%s", a.Body)
	}
	<-time.After(newCoupon)
	began := time.Now()
	require.NoError(t, l.master.FlushAll(t.Context()).Err())
	var asking sync.WaitGroup
	for i, id := range ids[:hot] {
		asking.Go(func() {
			stack.Eventually(t, drainWithin, func() bool {
				a, err := l.Claim(t.Context(), i, id, "first")
				return err == nil && a.Status == http.StatusOK
			}, "a coupon that is asked for")
		})
	}
	asking.Wait()
	hotTook := time.Since(began)
	stack.Eventually(t, 3*time.Minute, func() bool { return l.openGates(t, ids) == len(ids) }, "all gates are open")
	allTook := time.Since(began)
	passes := l.passes()
	t.Logf("%d gates lost at once: those asked for answer after %.1f s, all are open after %.1f s, in rebuilds of %d gates", len(ids),
		hotTook.Seconds(), allTook.Seconds(), passes)
	require.LessOrEqual(t, len(passes), fewPasses, "%d", passes)
	require.Greater(t, 20*(passes[0]+passes[1]), 19*len(ids), "%d", passes)
	require.Less(t, hotTook, allTook, "those asked for come first")
}

// passes are the gates that each rebuild took, by all processes, the most first.
func (l *lab) passes() (tags []int) {
	for _, p := range l.Procs {
		for line := range strings.Lines(p.Log()) {
			if _, after, begins := strings.Cut(line, `msg="rebuild begins"`); begins {
				n := 0
				_, after, _ = strings.Cut(after, "tags=")
				_, _ = fmt.Sscan(after, &n) // 0 fails the test
				tags = append(tags, n)
			}
		}
	}
	slices.SortFunc(tags, func(a, b int) int { return cmp.Compare(b, a) })
	return tags
}

func (l *lab) openGates(t *testing.T, ids []int64) (open int) {
	t.Helper()
	pipe := l.master.Pipeline()
	cmds := make([]*redis.StringCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HGet(context.WithoutCancel(t.Context()), fmt.Sprintf("fc:{c%d}:gate", id), "st")
	}
	_, _ = pipe.Exec(t.Context()) // a gate that is not there yet is counted below
	for _, cmd := range cmds {
		if cmd.Val() == "open" {
			open++
		}
	}
	return open
}
