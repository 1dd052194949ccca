// Package ledgertest holds the conformance suite of the ledger, which every database passes (Run), and opens fresh books
// for the tests of others (SQLite, Fresh).
package ledgertest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/ledger"
)

// Environment variables that name real servers: a DSN whose user may create and drop databases. The database it names
// must be there; tests use new ones beside it.
const (
	EnvMySQL   = "FIRSTCOME_TEST_MYSQL_DSN"
	EnvMariaDB = "FIRSTCOME_TEST_MARIADB_DSN"
)

// SQLite opens a fresh, migrated book in a file of the test's own folder.
func SQLite(t testing.TB) *ledger.Book {
	t.Helper()
	return open(t, SQLiteDSN(t), true)
}

// SQLiteDSN names a file that does not exist yet.
func SQLiteDSN(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
}

// Fresh opens a book on a new, migrated database of a server; it is dropped after the test.
func Fresh(t testing.TB, dsn string) *ledger.Book {
	t.Helper()
	return open(t, FreshDSN(t, dsn), true)
}

// FreshDSN makes a new, empty database on a server and names it; it is dropped after the test. What is no server's DSN
// is answered with a new SQLite file.
func FreshDSN(t testing.TB, dsn string) string {
	t.Helper()
	if dsn == "" {
		return SQLiteDSN(t)
	}
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	server, err := sql.Open("mysql", dsn)
	require.NoError(t, err)
	name := fmt.Sprintf("%s_%x", cfg.DBName, rand.Uint64()) //nolint:gosec // a name is no secret
	_, err = server.ExecContext(t.Context(), "CREATE DATABASE `"+name+"`")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := server.ExecContext(context.Background(), "DROP DATABASE `"+name+"`")
		require.NoError(t, err)
		require.NoError(t, server.Close())
	})
	cfg.DBName = name
	return cfg.FormatDSN()
}

// ServerDSN is the DSN in an environment variable; the test is skipped without it.
func ServerDSN(t testing.TB, env string) string {
	t.Helper()
	dsn := os.Getenv(env)
	if dsn == "" {
		t.Skipf("%s names no server: `make services` starts one", env)
	}
	return dsn
}

// Open opens a book without migrating it.
func Open(t testing.TB, dsn string) *ledger.Book {
	t.Helper()
	return open(t, dsn, false)
}

func open(t testing.TB, dsn string, migrate bool) *ledger.Book {
	t.Helper()
	book, err := ledger.Open(t.Context(), ledger.Config{DSN: dsn, MaxConns: 8, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, book.Close()) })
	if migrate {
		require.NoError(t, book.Migrate(t.Context()))
		require.NoError(t, book.CheckSchema(t.Context()))
	}
	return book
}

// patience is how long a test waits for something that happens within milliseconds on an idle machine; tick is how often
// it looks.
const (
	patience = 20 * time.Second
	tick     = 10 * time.Millisecond
)
