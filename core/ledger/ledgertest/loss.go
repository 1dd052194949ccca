package ledgertest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var lossTests = map[string]func(*testing.T, desk){
	"a deadlock is tried again":                             deadlock,
	"a connection that dies in the middle writes nothing":   killedInTheMiddle,
	"a commit whose answer is lost is written once":         lostCommit,
	"a failed event survives its rolled back transaction":   failedSurvives,
	"a database that cannot be written is an error":         unwritable,
	"one who gives up waiting has written nothing":          givenUp,
	"a stopped session is ended by the server in time":      stoppedSession,
	"a database that is gone and comes back is written on":  goneAndBack,
	"a schema that does not fit is an error and no failure": wrongSchema,
	"another process that writes is waited for":             otherProcess,
}

func deadlock(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has one write lock")
	}
	b = b.own(t)
	c := b.publish(t, total(10))
	w, topic := b.writer(t)
	// Another transaction has much to undo, so that the server ends the writer's; it holds the coupon's counter.
	other := b.begin(t)
	other.exec(t, "INSERT INTO leases (name, owner, until) VALUES "+strings.Repeat(",(UUID(),'x',NOW())", 500)[1:])
	other.query(t, "SELECT id FROM coupons WHERE id = ? FOR UPDATE", c.ID)
	written := make(chan error, 1)
	go func() { written <- w.Write(t.Context(), records(0, place(c, "u", 1))) }()
	b.waitForLock(t, "coupons")
	other.exec(t, "DELETE FROM issues WHERE coupon_id = ? AND user_id = 'u'", c.ID) // locked by the writer: a circle
	other.commit(t)
	require.NoError(t, <-written)
	b.requireRows(t, c, 1)
	require.Empty(t, b.failed(t, topic))
}

func killedInTheMiddle(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has no connection that could be cut")
	}
	b = b.own(t)
	c := b.publish(t, total(10))
	w, topic := b.writer(t)
	batch := records(0, place(c, "u", 1), place(c, "v", 2), place(draft(1), "x", 1))
	blocker := b.begin(t)
	blocker.query(t, "SELECT id FROM coupons WHERE id = ? FOR UPDATE", c.ID)
	written := make(chan error, 1)
	go func() { written <- w.Write(t.Context(), batch) }()
	b.waitForLock(t, "coupons") // rows and failed event are inserted by now
	for _, id := range b.waiting(t, "coupons") {
		b.exec(t, fmt.Sprintf("KILL %d", id))
	}
	require.Error(t, <-written, "nothing may be marked")
	blocker.commit(t)
	b.requireRows(t, c, 0)
	require.Empty(t, b.failed(t, topic))
	require.NoError(t, w.Write(t.Context(), batch))
	b.requireRows(t, c, 2)
	require.Equal(t, []string{"2 unknown_coupon"}, b.failed(t, topic))
}

func lostCommit(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has no connection that could be cut")
	}
	dsn := b.fresh(t)
	direct := desk{book: open(t, dsn, true)}
	cfg := must(mysql.ParseDSN(dsn))
	cut := newCutter(t, cfg.Addr)
	cfg.Addr = cut.addr()
	through := desk{book: Open(t, cfg.FormatDSN())}
	c := direct.publish(t, total(10))
	w, topic := through.writer(t)
	batch := records(0, place(c, "u", 1), place(c, "v", 2), place(draft(1), "x", 1))
	require.NoError(t, w.Write(t.Context(), records(10, place(c, "first", 9))))

	cut.atCommit()
	require.Error(t, w.Write(t.Context(), batch), "unknown is not yes")
	require.Eventually(t, func() bool { return len(direct.failed(t, topic)) == 1 }, patience, tick, "although it is there")
	require.NoError(t, w.Write(t.Context(), batch))
	direct.requireRows(t, c, 3)
	require.Equal(t, []string{"2 unknown_coupon"}, direct.failed(t, topic))
}

func failedSurvives(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	bad := place(c, "u", 1)
	bad.AcceptedAt = time.Time{} // NULL where none may be
	require.NoError(t, w.Write(t.Context(), records(0, bad)))
	require.Equal(t, []string{"0 refused_by_db"}, b.failed(t, topic), "the transaction that it failed in is gone, it is not")
	b.requireRows(t, c, 0)
}

func unwritable(t *testing.T, b desk) {
	b = b.own(t)
	c := b.publish(t)
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1))))
	b.exec(t, "DROP TABLE failed_events")
	require.Error(t, w.Write(t.Context(), records(1, place(c, "v", 2), place(draft(1), "x", 1))))
	b.requireRows(t, c, 1)
	_ = topic // nothing to count: the table is gone
}

func givenUp(t *testing.T, b desk) {
	b = b.own(t)
	c := b.publish(t, total(10))
	w, _ := b.writer(t)
	blocker := b.begin(t) // SQLite: the write lock; a server: the counter
	blocker.exec(t, "UPDATE coupons SET issued_count = issued_count + 0, min_order_amount = 1 WHERE id = ?", c.ID)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.Error(t, w.Write(ctx, records(0, place(c, "u", 1))))
	blocker.commit(t)
	b.requireRows(t, c, 0)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1))))
	b.requireRows(t, c, 1)
}

func stoppedSession(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has no sessions")
	}
	if testing.Short() {
		t.Skip("waits five seconds")
	}
	b = b.own(t)
	c := b.publish(t)
	tx, err := b.book.SQL().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	stopped := rawTx{tx: tx} // a consumer that was stopped after its locking read
	stopped.query(t, "SELECT epoch FROM gates WHERE tag = ? LOCK IN SHARE MODE", c.Tag())
	began := time.Now()
	marks, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "rebuilder", time.Minute, false)
	require.NoError(t, err)
	require.Len(t, marks, 1)
	require.WithinRange(t, time.Now(), began.Add(3*time.Second), began.Add(9*time.Second), "it waited for the session's end, not longer")
	require.Error(t, tx.Commit())
}

func goneAndBack(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has no server")
	}
	dsn := b.fresh(t)
	direct := desk{book: open(t, dsn, true)}
	cfg := must(mysql.ParseDSN(dsn))
	cut := newCutter(t, cfg.Addr)
	cfg.Addr = cut.addr()
	through := desk{book: Open(t, cfg.FormatDSN())}
	c := direct.publish(t)
	w, topic := through.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "before", 1))))
	cut.down(true)
	for range 3 {
		require.Error(t, w.Write(t.Context(), records(1, place(c, "u", 2))))
		require.Error(t, through.book.Ping(t.Context()))
	}
	direct.requireRows(t, c, 1)
	cut.down(false)
	require.NoError(t, w.Write(t.Context(), records(1, place(c, "u", 2))))
	direct.requireRows(t, c, 2)
	require.Empty(t, direct.failed(t, topic), "nothing goes to failed events for that")
}

func otherProcess(t *testing.T, b desk) {
	if !b.file {
		t.Skip("on a server every other session is another process")
	}
	dsn := b.fresh(t)
	mine, other := desk{book: open(t, dsn, true), file: true}, desk{book: Open(t, dsn), file: true}
	c := mine.publish(t)
	w, _ := mine.writer(t)
	writing := other.begin(t)
	writing.exec(t, "UPDATE coupons SET min_order_amount = 1 WHERE id = ?", c.ID)
	written := make(chan error, 1)
	go func() { written <- w.Write(t.Context(), records(0, place(c, "u", 1))) }()
	select {
	case err := <-written:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	writing.commit(t)
	require.NoError(t, <-written)
	mine.requireRows(t, c, 1)
}

func wrongSchema(t *testing.T, b desk) {
	empty := Open(t, b.fresh(t))
	w := ledger.NewWriter(empty, ledger.WriterOptions{Topic: "t", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	err := w.Write(t.Context(), records(0, place(coupon.Coupon{ID: 1}, "u", 1)))
	require.Error(t, err)
	require.Equal(t, ledger.TroubleSchema, ledger.TroubleOf(err))
	require.ErrorContains(t, err, "batch migrate")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
