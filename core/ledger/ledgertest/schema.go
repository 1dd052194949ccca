package ledgertest

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/ledger"
)

var schemaTests = map[string]func(*testing.T, desk){
	"the unique keys stand in the schema":           uniqueKeys,
	"the unique keys hold against a bare insert":    uniqueKeysHold,
	"what is compared byte for byte says so":        collations,
	"two migrators at once leave one schema":        twoMigrators,
	"an empty database says what to run":            emptySchema,
	"an older schema says what to run":              olderSchema,
	"a newer schema is not worked on":               newerSchema,
	"a migration that was cut off starts over":      cutMigration,
	"a session has what the protocol relies on":     sessionSettings,
	"migrating what is migrated already is nothing": migrateAgain,
}

func uniqueKeys(t *testing.T, b desk) {
	want := map[string][]string{
		"vendors":       {"name"},
		"events":        {"name"},
		"coupons":       {"name"},
		"issues":        {"coupon_id,user_id,nth", "event_id,user_id", "coupon_id,user_id,idempotency_key"},
		"failed_events": {"topic,partition_no,offset_no"},
		"gate_barriers": {"tag,epoch,partition_no"},
	}
	for table, keys := range want {
		require.Subset(t, b.unique(t, table), keys, table)
	}
}

// unique lists the unique keys of a table by their columns, the primary key included.
func (b desk) unique(t *testing.T, table string) []string {
	t.Helper()
	query := `SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 GROUP BY index_name`
	if b.file {
		query = `SELECT (SELECT GROUP_CONCAT(name, ',') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno))
			FROM pragma_index_list(?) l WHERE l."unique" = 1`
	}
	rows, err := b.book.SQL().QueryContext(t.Context(), query, table)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var keys []string
	for rows.Next() {
		var columns string
		require.NoError(t, rows.Scan(&columns))
		keys = append(keys, columns)
	}
	require.NoError(t, rows.Err())
	return keys
}

func uniqueKeysHold(t *testing.T, b desk) {
	event, other := newID(), newID()
	insert := func(coupon int64, user string, nth int, event, key any) error {
		_, err := b.book.SQL().ExecContext(t.Context(), `INSERT INTO issues (coupon_id, user_id, nth, seq, epoch, status,
			event_id, idempotency_key, accepted_at, issued_at) VALUES (?, ?, ?, 1, 1, 'issued', ?, ?, '2026-01-01', '2026-01-01')`,
			coupon, user, nth, event, key)
		return err
	}
	require.NoError(t, insert(event, "alice", 1, event, nil))
	require.Error(t, insert(event, "alice", 1, nil, nil), "a second row of the same claim")
	require.Error(t, insert(other, "alice", 1, event, nil), "a second coupon of one event")
	require.NoError(t, insert(event, "Alice", 1, event, nil), "another user")
	require.NoError(t, insert(other, "alice", 1, nil, "k"))
	require.Error(t, insert(other, "alice", 2, nil, "k"), "one idempotency key, two places")
	require.NoError(t, insert(other, "alice", 2, nil, "K"), "another key")
	require.NoError(t, insert(other, "alice", 3, nil, nil))
	require.NoError(t, insert(other, "alice", 4, nil, nil), "no key is no key twice")
}

func collations(t *testing.T, b desk) {
	if b.file {
		require.Zero(t, b.count(t, "SELECT COUNT(*) FROM sqlite_master WHERE sql LIKE '%NOCASE%'"))
		return
	}
	for _, column := range []struct{ table, name, collation string }{
		{"issues", "user_id", "ascii_bin"}, {"issues", "idempotency_key", "ascii_bin"},
		{"coupons", "tag", "ascii_bin"}, {"gates", "tag", "ascii_bin"}, {"gate_barriers", "tag", "ascii_bin"},
		{"failed_events", "user_id", "ascii_bin"}, {"leases", "name", "ascii_bin"},
		{"vendors", "name", "utf8mb4_bin"}, {"events", "name", "utf8mb4_bin"}, {"coupons", "name", "utf8mb4_bin"},
	} {
		require.EqualValues(t, 1, b.count(t, `SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
			AND table_name = ? AND column_name = ? AND collation_name = ?`, column.table, column.name, column.collation),
			"%s.%s", column.table, column.name)
	}
	require.Zero(t, b.count(t, `SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
		AND table_name <> 'goose_db_version' AND data_type IN ('datetime', 'timestamp') AND datetime_precision <> 6`))
}

func twoMigrators(t *testing.T, b desk) {
	dsn := b.fresh(t)
	const migrators = 3
	books := make([]*ledger.Book, migrators)
	for i := range books {
		books[i] = Open(t, dsn)
	}
	errs := make([]error, migrators)
	var all sync.WaitGroup
	for i, book := range books {
		all.Go(func() { errs[i] = book.Migrate(t.Context()) })
	}
	all.Wait()
	for i := range books {
		require.NoError(t, errs[i])
		require.NoError(t, books[i].CheckSchema(t.Context()))
	}
	one := desk{book: books[0]}
	have, need, err := books[0].SchemaVersion(t.Context())
	require.NoError(t, err)
	require.Equal(t, need, have)
	require.Equal(t, need, one.count(t, "SELECT COUNT(*) FROM goose_db_version WHERE version_id > 0"), "each step once")
}

func emptySchema(t *testing.T, b desk) {
	book := Open(t, b.fresh(t))
	require.EqualError(t, book.CheckSchema(t.Context()), "the database has no schema yet: run `batch migrate`")
	have, need, err := book.SchemaVersion(t.Context())
	require.NoError(t, err)
	require.Zero(t, have)
	require.Positive(t, need)
	require.EqualError(t, book.CheckSchema(t.Context()), "the database has no schema yet: run `batch migrate`", "looking makes nothing")
}

func olderSchema(t *testing.T, b desk) {
	old := b.own(t)
	old.exec(t, "DELETE FROM goose_db_version WHERE version_id > 2")
	require.EqualError(t, old.book.CheckSchema(t.Context()),
		"the database's schema is at version 2 and this build needs 4: run `batch migrate`")
}

func newerSchema(t *testing.T, b desk) {
	ahead := b.own(t)
	ahead.exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	require.EqualError(t, ahead.book.CheckSchema(t.Context()),
		"the database's schema is at version 99 and this build knows only 4: run a newer build")
}

func cutMigration(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite's schema changes belong to the transaction that also notes the version")
	}
	cut := b.own(t)
	cut.exec(t, "DELETE FROM goose_db_version WHERE version_id > 2") // made, and the note of it lost
	cut.exec(t, "DROP TABLE failed_events")                          // the second table of the third step, and all after it
	cut.exec(t, "DROP TABLE leases")
	require.NoError(t, cut.book.Migrate(t.Context()))
	require.NoError(t, cut.book.CheckSchema(t.Context()))
	require.Zero(t, cut.count(t, "SELECT COUNT(*) FROM failed_events"))
	require.Zero(t, cut.count(t, "SELECT COUNT(*) FROM leases"))
}

func migrateAgain(t *testing.T, b desk) {
	book, err := ledger.Open(t.Context(), ledger.Config{DSN: b.fresh(t), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, book.Close()) }()
	for range 3 {
		require.NoError(t, book.Migrate(t.Context()))
	}
	require.NoError(t, book.CheckSchema(t.Context()))
}

func sessionSettings(t *testing.T, b desk) {
	if b.file {
		require.Equal(t, "wal", b.text(t, "PRAGMA journal_mode"))
		require.Equal(t, "2", b.text(t, "PRAGMA synchronous"), "FULL")
		require.Equal(t, "5000", b.text(t, "PRAGMA busy_timeout"))
		require.Equal(t, "1", b.text(t, "PRAGMA foreign_keys"))
		return
	}
	cfg := must(mysql.ParseDSN(b.fresh(t)))
	cfg.ClientFoundRows, cfg.ParseTime, cfg.InterpolateParams, cfg.MultiStatements = true, false, false, true
	cfg.Loc = time.FixedZone("Asia/Seoul", 9*3600)
	cfg.Params = map[string]string{"sql_mode": "''", "time_zone": "'+09:00'", "wait_timeout": "999", "autocommit": "0"}
	other := desk{book: open(t, cfg.FormatDSN(), true)}
	for _, b := range []desk{b, other} { // whatever the DSN says
		isolation := "SELECT @@transaction_isolation"
		if b.text(t, "SELECT IF(VERSION() LIKE '%MariaDB%', 'yes', '')") != "" {
			isolation = "SELECT @@tx_isolation"
		}
		require.Equal(t, "READ-COMMITTED", b.text(t, isolation))
		require.Contains(t, b.text(t, "SELECT @@sql_mode"), "STRICT_TRANS_TABLES")
		require.Equal(t, "+00:00", b.text(t, "SELECT @@time_zone"))
		require.Equal(t, "5", b.text(t, "SELECT @@wait_timeout"))
		require.Equal(t, "1", b.text(t, "SELECT @@autocommit"))
		c := b.publish(t)
		done, err := b.book.SQL().ExecContext(t.Context(), "UPDATE coupons SET state = 'open' WHERE id = ?", c.ID)
		require.NoError(t, err)
		require.Zero(t, must(done.RowsAffected()), "changed rows are told, not found ones")
		_, err = b.book.SQL().ExecContext(t.Context(), "SELECT 1; SELECT 2")
		require.Error(t, err, "one statement at a time")
		var at time.Time
		require.NoError(t, b.book.SQL().QueryRowContext(t.Context(), "SELECT opens_at FROM coupons WHERE id = ?", c.ID).Scan(&at))
		require.Equal(t, c.OpensAt, at)
	}
}

func (b desk) text(t *testing.T, query string) (s string) {
	t.Helper()
	require.NoError(t, b.book.SQL().QueryRowContext(t.Context(), query).Scan(&s))
	return s
}
