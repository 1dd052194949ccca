package ledgertest

import (
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/stretchr/testify/require"
)

// rawTx is a transaction of somebody else.
type rawTx struct {
	tx   *sql.Tx
	conn *sql.Conn
}

// begin opens one; it ends with the test at the latest. Its session lives longer than those of the product, since tests
// let it wait.
func (b desk) begin(t *testing.T) rawTx {
	t.Helper()
	conn, err := b.book.SQL().Conn(t.Context())
	require.NoError(t, err)
	if !b.file {
		_, err = conn.ExecContext(t.Context(), "SET SESSION wait_timeout = 60")
		require.NoError(t, err)
	}
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = tx.Rollback()                                          // ended already, mostly
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // nobody else gets this session
	})
	return rawTx{tx, conn}
}

func (r rawTx) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	_, err := r.tx.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// query runs a statement that returns at most one number; only its locks matter.
func (r rawTx) query(t *testing.T, query string, args ...any) {
	t.Helper()
	var n int64
	require.NoError(t, r.tx.QueryRowContext(t.Context(), query, args...).Scan(&n))
}

func (r rawTx) commit(t *testing.T) {
	t.Helper()
	require.NoError(t, r.tx.Commit())
	require.ErrorIs(t, r.conn.Raw(func(any) error { return driver.ErrBadConn }), driver.ErrBadConn)
}

// waitForLock waits until a session of this database waits for a lock in a statement on a table. Nothing else makes a
// statement of these tests take a second; the servers' own lists of waits are not the same, and MariaDB's is not renewed
// for one who asks often.
func (b desk) waitForLock(t *testing.T, table string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.waiting(t, table)) > 0 }, patience, tick)
}

// waiting lists the sessions that waitForLock waits for.
func (b desk) waiting(t *testing.T, table string) []int64 {
	t.Helper()
	rows, err := b.book.SQL().QueryContext(t.Context(), `SELECT id FROM information_schema.processlist
		WHERE db = DATABASE() AND command = 'Query' AND time >= 1 AND id <> CONNECTION_ID() AND info LIKE ?`, "%"+table+"%")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var ids []int64
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	return ids
}
