package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/proxy"
	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// databaseLab is a stack on a database server of its own, which is reached through a proxy by the roles and directly by
// the test; without a proxy where it matters what a server that is gone looks like: a proxy takes a connection before it
// finds nobody to pass it to, and a refusal then looks like a cut.
type databaseLab struct {
	*stack.Stack
	server *servers.Server
	proxy  *proxy.Proxy // nil: none
	direct *sql.DB      // on the server, in no database
	name   string       // of the stack's database
}

func newDatabaseLab(t *testing.T) *databaseLab {
	t.Helper()
	return newDatabaseLabIn(t, t.TempDir(), true)
}

func newDatabaseLabIn(t *testing.T, dir string, proxied bool) *databaseLab {
	t.Helper()
	server, err := servers.NewMySQL(dir)
	if errors.Is(err, servers.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("no database server to start: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	require.NoError(t, server.Start(t.Context()))
	lab, dsn := &databaseLab{server: server}, server.DSN()
	if proxied {
		lab.proxy, err = proxy.Listen(server.Addr())
		require.NoError(t, err)
		t.Cleanup(lab.proxy.Close)
		dsn = strings.Replace(dsn, server.Addr(), lab.proxy.Addr(), 1)
	}
	lab.Stack = stack.Start(t, stack.Real, stack.Options{DSN: dsn})
	lab.direct, err = sql.Open("mysql", server.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = lab.direct.Close() }) // the server may be gone first
	require.NoError(t, lab.SQL.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&lab.name))
	return lab
}

func (l *databaseLab) exec(t *testing.T, query string) {
	t.Helper()
	_, err := l.direct.ExecContext(t.Context(), strings.ReplaceAll(query, "{db}", l.name))
	require.NoError(t, err, query)
}

// databaseFault is one thing that happens to a database.
type databaseFault struct {
	name    string
	begin   func(t *testing.T, l *databaseLab, coupon int64) (end func())
	says    string // of /readyz, while it lasts; "": the work goes on
	trouble string // the label of the metrics; "": any
	deaf    bool   // it answers no reads either
}

func databaseFaults() []databaseFault {
	signal := func(sqlstate, number string) func(*testing.T, *databaseLab, int64) func() {
		return func(t *testing.T, l *databaseLab, _ int64) func() {
			l.exec(t, "CREATE TRIGGER {db}.fault BEFORE INSERT ON {db}.issues FOR EACH ROW SIGNAL SQLSTATE '"+sqlstate+
				"' SET MYSQL_ERRNO = "+number+", MESSAGE_TEXT = 'planted'")
			return func() { l.exec(t, "DROP TRIGGER {db}.fault") }
		}
	}
	return []databaseFault{
		{name: "stopped and going on", says: "does not answer in time", trouble: "slow", deaf: true,
			begin: func(t *testing.T, l *databaseLab, _ int64) func() {
				require.NoError(t, l.server.Pause())
				return func() { require.NoError(t, l.server.Resume()) }
			}},
		{name: "read-only", says: "is read-only", trouble: "read_only", begin: readOnlyServer},
		{name: "no connection left", says: "takes no more connections", trouble: "too_many_connections", deaf: true, begin: noConnections},
		{name: "a lock that is held", says: "a lock in the database is held too long", trouble: "lock_timeout", begin: heldLock},
		{name: "deadlocks", says: "keep locking each other out", trouble: "deadlock", begin: signal("40001", "1213")},
		{name: "disk full", says: "disk or table is full", trouble: "disk_full", begin: signal("HY000", "1021")},
		{name: "another version of the schema", says: "knows only", trouble: "wrong_schema",
			begin: func(t *testing.T, l *databaseLab, _ int64) func() {
				l.exec(t, "INSERT INTO {db}.goose_db_version (version_id, is_applied) VALUES (99, 1)")
				l.waiting(t, "knows only", "") // the writers look every few seconds
				<-time.After(6 * time.Second)
				return func() { l.exec(t, "DELETE FROM {db}.goose_db_version WHERE version_id = 99") }
			}},
		{name: "answers that are lost, commits included", says: "does not answer in time", deaf: true,
			begin: func(_ *testing.T, l *databaseLab, _ int64) func() {
				l.proxy.DropReplies()
				return l.proxy.Heal
			}},
		{name: "connections that are cut", says: "database", deaf: true,
			begin: func(_ *testing.T, l *databaseLab, _ int64) func() {
				l.proxy.Cut()
				return l.proxy.Heal
			}},
		{name: "a slow way there",
			begin: func(_ *testing.T, l *databaseLab, _ int64) func() {
				l.proxy.Delay(150 * time.Millisecond)
				return l.proxy.Heal
			}},
	}
}

func readOnlyServer(t *testing.T, l *databaseLab, _ int64) func() {
	if _, err := l.direct.ExecContext(t.Context(), "SET GLOBAL super_read_only = ON"); err != nil {
		t.Skipf("this server has no super_read_only, and the test's user may write in spite of read_only: %v", err)
	}
	return func() { l.exec(t, "SET GLOBAL super_read_only = OFF"); l.exec(t, "SET GLOBAL read_only = OFF") }
}

// noConnections takes all connections and ends the roles'.
func noConnections(t *testing.T, l *databaseLab, _ int64) func() {
	first, err := l.direct.Conn(t.Context())
	require.NoError(t, err)
	second, err := l.direct.Conn(t.Context()) // one more than the maximum is for whoever may do anything
	require.NoError(t, err)
	var mine [2]int64
	require.NoError(t, first.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&mine[0]))
	require.NoError(t, second.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&mine[1]))
	_, err = first.ExecContext(t.Context(), "SET GLOBAL max_connections = 1")
	require.NoError(t, err)
	for _, id := range sessions(t, first) {
		if id != mine[0] && id != mine[1] {
			_, _ = first.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)) // it may have ended
		}
	}
	return func() {
		_, err := first.ExecContext(t.Context(), "SET GLOBAL max_connections = 500")
		require.NoError(t, errors.Join(err, first.Close(), second.Close()))
	}
}

// sessions are the connections that the server has.
func sessions(t *testing.T, on *sql.Conn) (ids []int64) {
	t.Helper()
	rows, err := on.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE user = 'firstcome'")
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // read to its end
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	return ids
}

func heldLock(t *testing.T, l *databaseLab, coupon int64) func() {
	tx, err := l.direct.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE "+l.name+".coupons SET min_order_amount = 1 WHERE id = ?", coupon)
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback()) }
}

// waiting waits until a consumer's /readyz says so and, with a trouble, its metrics too.
func (l *databaseLab) waiting(t *testing.T, says, trouble string) {
	t.Helper()
	var last []string
	require.Eventually(t, func() bool {
		last = nil
		for _, p := range l.Procs {
			if p.Role != "consumer" {
				continue
			}
			ready := opsText(t, p.Ops+"/readyz")
			last = append(last, ready)
			if !strings.Contains(ready, says) || !strings.Contains(ready, "since 20") {
				continue
			}
			line := fmt.Sprintf("firstcome_consumer_waiting_partitions{trouble=%q} ", trouble)
			_, value, _ := strings.Cut(opsText(t, p.Ops+"/metrics"), line)
			if trouble == "" || value != "" && value[0] != '0' {
				return true
			}
		}
		return false
	}, 90*time.Second, 200*time.Millisecond, "a consumer says %q, and its metrics %q: %v", says, trouble, &last)
}

// opsText is what an ops listener answers; "" when it does not.
func opsText(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

func killedDatabase() databaseFault {
	return databaseFault{name: "killed and started again", says: "cannot be reached", trouble: "unreachable", deaf: true,
		begin: func(t *testing.T, l *databaseLab, _ int64) func() {
			require.NoError(t, l.server.Kill())
			return func() { require.NoError(t, l.server.Start(t.Context())) }
		}}
}

// Whatever happens to the database: known coupons are claimed, consumers wait, say for what, and catch up; nothing is
// skipped, nothing becomes a failed event, and reads are answered 503 at worst.
func TestWhateverHappensToTheDatabaseIsWaitedFor(t *testing.T) {
	t.Parallel()
	lab := newDatabaseLab(t)
	for n, fault := range databaseFaults() {
		t.Run(fault.name, func(t *testing.T) { lab.suffer(t, n, fault) })
	}
	lab.nobodyPanicked(t)
}

func TestADatabaseThatIsKilledIsWaitedFor(t *testing.T) {
	t.Parallel()
	lab := newDatabaseLabIn(t, t.TempDir(), false)
	lab.suffer(t, 0, killedDatabase())
	lab.nobodyPanicked(t)
}

func (l *databaseLab) nobodyPanicked(t *testing.T) {
	t.Helper()
	for _, p := range l.Procs {
		if strings.Contains(p.Log(), "panic") {
			t.Errorf("%s panicked", p.Role)
		}
	}
}

func (l *databaseLab) suffer(t *testing.T, n int, fault databaseFault) {
	const users = 30
	coupon := l.Coupon(t, map[string]any{"total_quantity": users})
	for api := range l.APIs { // known from now on
		_, err := l.Claim(t.Context(), api, coupon, fmt.Sprintf("first-%d-%d", n, api))
		require.NoError(t, err)
	}
	stack.Eventually(t, drainWithin, func() bool { return l.rows(t, coupon) == int64(len(l.APIs)) }, "written")

	end := fault.begin(t, l, coupon)
	ended := false
	defer func() {
		if !ended {
			end()
		}
	}()
	l.claimAll(t, coupon, n, users-len(l.APIs))
	if fault.says != "" {
		l.waiting(t, fault.says, fault.trouble)
	}
	if fault.deaf {
		token := l.Token("reader", false)
		for _, path := range []string{"/v1/me/issues", "/v1/coupons"} {
			a, err := l.Do(t.Context(), 0, http.MethodGet, path, token, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusServiceUnavailable, a.Status, "%s: %s", path, a.Body)
			require.Equal(t, "unavailable", a.Code())
		}
	}
	if n == 0 { // one who waits may also die: its offsets stay where they were
		for _, p := range l.Procs {
			if p.Role == "consumer" {
				p.Kill(t)
				break
			}
		}
	}
	ended = true
	end()
	stack.Eventually(t, 2*time.Minute, func() bool { return l.rows(t, coupon) == users }, "everybody's row: caught up")
	require.EqualValues(t, users, l.Count(t, "SELECT issued_count FROM coupons WHERE id = ?", coupon))
	require.Zero(t, l.Count(t, "SELECT COUNT(*) FROM failed_events"), "nothing goes to failed events for that")
	for _, p := range l.Procs {
		if n == 0 && p.Role == "consumer" {
			continue // one of them is dead from here on
		}
		stack.Eventually(t, time.Minute, func() bool {
			text := opsText(t, p.Ops+"/readyz")
			return p.Role == "consumer" && text == "" || strings.Contains(text, `"status":"ok"`) && !strings.Contains(text, "degraded")
		}, "%s is ready again", p.Role)
	}
}

// rows counts over a connection that no fault reaches; -1: the server is not back yet.
func (l *databaseLab) rows(t *testing.T, coupon int64) (n int64) {
	t.Helper()
	if l.direct.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+l.name+".issues WHERE coupon_id = ?", coupon).Scan(&n) != nil {
		return -1
	}
	return n
}

// claimAll has all users claim, each until there is an answer; a known coupon needs no database.
func (l *databaseLab) claimAll(t *testing.T, coupon int64, n, users int) {
	t.Helper()
	var all sync.WaitGroup
	for u := range users {
		all.Go(func() {
			for deadline := time.Now().Add(30 * time.Second); ; {
				a, err := l.Claim(t.Context(), u, coupon, fmt.Sprintf("u-%d-%d", n, u))
				if err == nil && a.Accepted() {
					return
				}
				if time.Now().After(deadline) {
					t.Errorf("user %d got no place of a known coupon: %v %s", u, err, a.Body)
					return
				}
			}
		})
	}
	all.Wait()
}
