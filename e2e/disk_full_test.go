package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// disk is a small file system of the test's own, so that it can really be full.
type disk struct{ dir, ballast string }

// mount puts a file system of so many MiB on a folder. It takes root: without, the test is skipped, but in CI as root it
// has to run.
func mount(t *testing.T, dir string, mib int) *disk {
	t.Helper()
	if os.Getenv("FIRSTCOME_KAFKA_BROKERS") == "" {
		t.Skip("starts real servers: FIRSTCOME_KAFKA_BROKERS is not set (make test-real sets it)")
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	if errors.Is(err, syscall.EPERM) && (os.Getenv("CI") != "true" || os.Getuid() != 0) {
		t.Skipf("a disk that can be full takes the right to mount one (root, CAP_SYS_ADMIN): %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return &disk{dir: dir, ballast: filepath.Join(dir, "ballast")}
}

// fill takes all room that is left.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(d.ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	for _, size := range []int{1 << 20, 4 << 10, 1} { // the last page, too
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	require.NoError(t, f.Close())
}

// free gives it back.
func (d *disk) free(t *testing.T) {
	t.Helper()
	require.NoError(t, os.Remove(d.ballast))
}

// Kafka's disk is full: the broker gives up its log and ends. Nobody is promised anything, the places are kept, and when there
// is room again and the broker is started, all of them become rows by themselves.
func TestKafkasDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kafka")
	full := mount(t, filepath.Join(dir, "broker-1"), 64)
	kafka := stack.Own(t)(servers.NewKafka(dir, servers.KafkaOptions{}))
	l := newKafkaLab(t, stack.Options{Kafka: kafka.Addr()})
	more := 0
	l.meets(t, broken{
		name: "disk-full", hurt: func(t *testing.T) {
			t.Helper()
			full.fill(t)
			// What its files have of their last pages is room still.
			for began := time.Now(); kafka.Running(); more++ {
				require.Less(t, time.Since(began), drainWithin, "the broker goes on without room")
				a, err := l.Claim(t.Context(), more, l.coupon, fmt.Sprintf("last-%d", more))
				require.NoError(t, err)
				require.True(t, a.Accepted() || a.Status == http.StatusServiceUnavailable, "%d %s", a.Status, a.Body)
				if a.Accepted() {
					l.promises.note(t, fmt.Sprintf("last-%d", more), a)
				}
			}
			require.Contains(t, kafka.Log(), "No space left on device")
		},
		heal: func(t *testing.T) {
			t.Helper()
			full.free(t)
			require.NoError(t, kafka.Start(t.Context()))
		},
		shut: true, killed: -1,
	})
	stack.Eventually(t, drainWithin, func() bool {
		return l.Count(t, "SELECT COUNT(*) FROM issues WHERE user_id LIKE 'last-%'") == int64(more)
	}, "those who claimed while it filled up have their rows")
	l.judge(t, int64(2*duringFault+1+more))
	require.Empty(t, l.Verify(t, "30s").Findings)
	t.Logf("%d claims until the broker ended, %d of them promised", more, len(l.promises.kept)-2*duringFault-1)
}

// The database's disk is full: the consumers wait, say for what, and write everything when there is room again; nobody who
// claims notices.
func TestTheDatabasesDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mysql")
	full := mount(t, dir, 384)
	lab := newDatabaseLabIn(t, dir, true)
	// A row takes about 700 bytes with its keys: the table's file has to grow.
	const many = 1500
	bulk := lab.Coupon(t, map[string]any{"per_user_limit": 2})
	lab.suffer(t, 1, databaseFault{
		name: "disk really full", says: "disk or table is full", trouble: "disk_full",
		begin: func(t *testing.T, l *databaseLab, _ int64) func() {
			full.fill(t)
			l.claimMany(t, bulk, many)
			return func() { full.free(t) }
		},
	})
	stack.Eventually(t, 2*drainWithin, func() bool { return lab.rows(t, bulk) == many }, "caught up")
	require.Zero(t, lab.Count(t, "SELECT COUNT(*) FROM failed_events"))
	require.Empty(t, lab.Verify(t, "30s").Findings)
}

// claimMany has so many users with long names and long keys claim, a few at a time.
func (l *databaseLab) claimMany(t *testing.T, coupon int64, many int) {
	t.Helper()
	next := make(chan int)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for n := range next {
				user := fmt.Sprintf("many-%d-%s", n, strings.Repeat("x", 50))
				for began := time.Now(); ; <-time.After(50 * time.Millisecond) {
					a, err := l.Claim(t.Context(), worker, coupon, user, strings.Repeat("k", 64))
					if err == nil && a.Accepted() {
						break
					}
					if time.Since(began) > drainWithin {
						t.Errorf("%s is not served: %v %d %s", user, err, a.Status, a.Body)
						break
					}
				}
			}
		})
	}
	for n := range many {
		next <- n
	}
	close(next)
	all.Wait()
}
