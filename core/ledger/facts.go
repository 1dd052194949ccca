package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/firstcome/firstcome/core/support/doctor"
)

// Facts tells how the database is set up, with one connection of ours, as a transaction gets it. It changes nothing. What the
// server does not tell is left out; the error is about one that does not answer.
func (b *Book) Facts(ctx context.Context) (facts *doctor.Database, err error) {
	conn, err := b.pools[len(b.pools)-1].Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	facts = &doctor.Database{Session: doctor.Settings{}, Global: doctor.Settings{}}
	if facts.SchemaHave, facts.SchemaNeed, err = b.SchemaVersion(ctx); err != nil {
		return nil, err
	}
	if b.dialect == dialectSQLite {
		return facts, b.fileFacts(ctx, conn, facts)
	}
	return facts, serverFacts(ctx, conn, facts)
}

func (b *Book) fileFacts(ctx context.Context, conn *sql.Conn, facts *doctor.Database) error {
	facts.Dialect = "sqlite"
	if err := conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&facts.Version); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	for _, name := range []string{"journal_mode", "synchronous", "foreign_keys"} {
		var value string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
			return fmt.Errorf("database: PRAGMA %s: %w", name, err)
		}
		facts.Session[name] = value
	}
	facts.Disk = freeSpace(filepath.Dir(b.source.path))
	return nil
}

var createTable = regexp.MustCompile(`CREATE TABLE IF NOT EXISTS (\w+)`)

// ourTables are the tables that the migrations make; other tables in the same database are nobody's business here.
func ourTables() ([]any, error) {
	files, err := fs.Glob(migrations, "migrations/mysql/*.sql")
	if err != nil {
		return nil, err
	}
	var tables []any
	for _, name := range files {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for _, found := range createTable.FindAllSubmatch(text, -1) {
			tables = append(tables, string(found[1]))
		}
	}
	return tables, nil
}

func serverFacts(ctx context.Context, conn *sql.Conn, facts *doctor.Database) (err error) {
	if err = conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&facts.Version); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	facts.Dialect = "mysql"
	if strings.Contains(facts.Version, "MariaDB") {
		facts.Dialect = "mariadb"
	}
	facts.Session, err = variables(ctx, conn, "SESSION", "transaction_isolation", "tx_isolation", "sql_mode", "time_zone", "autocommit",
		"wait_timeout")
	if err != nil {
		return err
	}
	if old, there := facts.Session["tx_isolation"]; there { // MariaDB's name for it, and its only one before 11.1
		facts.Session["transaction_isolation"] = old
	}
	facts.Global, err = variables(ctx, conn, "GLOBAL", "innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "innodb_doublewrite",
		"max_allowed_packet", "max_connections", "read_only", "super_read_only", "innodb_read_only")
	if err != nil {
		return err
	}
	tables, err := ourTables()
	if err != nil {
		return err
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(tables)), ",")
	facts.Engines, err = pairs(ctx, conn,
		"SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ("+marks+")", tables...)
	if err != nil {
		return err
	}
	columns, err := pairs(ctx, conn,
		"SELECT CONCAT(table_name, '.', column_name), collation_name FROM information_schema.columns WHERE table_schema = DATABASE() "+
			"AND collation_name IS NOT NULL AND table_name IN ("+marks+")", tables...)
	if err != nil {
		return err
	}
	for name, collation := range columns {
		table, column, _ := strings.Cut(name, ".")
		facts.Columns = append(facts.Columns, doctor.Column{Table: table, Name: column, Collation: collation})
	}
	facts.Clock, err = doctor.Measure(time.Now, func() (time.Time, error) {
		var now stamp
		scanErr := conn.QueryRowContext(ctx, "SELECT UTC_TIMESTAMP(6)").Scan(&now)
		return now.Time, scanErr
	})
	return err
}

func variables(ctx context.Context, conn *sql.Conn, scope string, names ...string) (doctor.Settings, error) {
	marks, args := strings.TrimSuffix(strings.Repeat("?,", len(names)), ","), make([]any, len(names))
	for i, n := range names {
		args[i] = n
	}
	return pairs(ctx, conn, "SHOW "+scope+" VARIABLES WHERE Variable_name IN ("+marks+")", args...)
}

// pairs reads rows of a name and a value.
func pairs(ctx context.Context, conn *sql.Conn, query string, args ...any) (found doctor.Settings, err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found = doctor.Settings{}
	for rows.Next() {
		var name string
		var value sql.NullString
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		found[name] = value.String
	}
	return found, rows.Err()
}
