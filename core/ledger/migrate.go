package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

const (
	// migrateWait bounds how long one migrator waits for another.
	migrateWait = 5 * time.Minute
	// migrateLook is how often a waiting migrator of SQLite looks at the lock.
	migrateLook = 50 * time.Millisecond
	// migrateLockPrefix and the database's name are the name of the lock on a server; such names have at most 64
	// characters there, as many as a database's name alone, so the end of a longer one is left off.
	migrateLockPrefix = "firstcome:"
	lockNameMax       = 64
)

// Migrate brings the schema to the version of this build, under a lock: of two at once, the second finds nothing to do.
func (b *Book) Migrate(ctx context.Context) (err error) {
	pool := b.pool
	if b.dialect == dialectMySQL {
		// Its sessions stay open while a long change of the schema runs, and wait for its end.
		cfg := b.source.mysql.Clone()
		cfg.ReadTimeout, cfg.WriteTimeout = 0, 0
		if pool, err = openServer(cfg); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pool.Close()) }()
	}
	provider, err := b.provider(pool, goose.WithSessionLocker(b.migrationLock()))
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	for _, r := range results {
		b.log.Info("schema migrated", "version", r.Source.Version, "took", r.Duration)
	}
	return b.guard(ctx)
}

// SchemaVersion is the version that the database has and the one that this build needs. 0: none yet.
func (b *Book) SchemaVersion(ctx context.Context) (have, need int64, err error) {
	provider, err := b.provider(b.pool)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range provider.ListSources() {
		need = max(need, s.Version)
	}
	// goose would create its table when asked; one who only looks changes nothing.
	err = b.read.WithContext(ctx).Table(goose.DefaultTablename).Select("COALESCE(MAX(version_id), 0)").
		Where("is_applied").Row().Scan(&have)
	if noTable(err) {
		return 0, need, nil
	}
	if err != nil {
		return 0, need, fmt.Errorf("read the schema's version: %w", err)
	}
	return have, need, nil
}

// SchemaError says that the database's schema is not the one that this build knows, and what to do.
type SchemaError struct{ Have, Need int64 } // versions; Have 0: none yet

func (e *SchemaError) Error() string {
	switch {
	case e.Have == 0:
		return "the database has no schema yet: run `batch migrate`"
	case e.Have < e.Need:
		return fmt.Sprintf("the database's schema is at version %d and this build needs %d: run `batch migrate`", e.Have, e.Need)
	default:
		return fmt.Sprintf("the database's schema is at version %d and this build knows only %d: run a newer build", e.Have, e.Need)
	}
}

// CheckSchema says whether this build can work with the database's schema, and what to do if not:
// a SchemaError.
func (b *Book) CheckSchema(ctx context.Context) error {
	have, need, err := b.SchemaVersion(ctx)
	switch {
	case err != nil:
		return err
	case have != need:
		return &SchemaError{Have: have, Need: need}
	}
	return nil
}

func (b *Book) provider(pool *sql.DB, opts ...goose.ProviderOption) (*goose.Provider, error) {
	folder, dialect := "migrations/mysql", goose.DialectMySQL
	if b.dialect == dialectSQLite {
		folder, dialect = "migrations/sqlite", goose.DialectSQLite3
	}
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	opts = append(opts, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider(dialect, pool, files, opts...)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return provider, nil
}

// sessionLock is goose's lock for the connection that migrates.
type sessionLock interface {
	SessionLock(ctx context.Context, conn *sql.Conn) error
	SessionUnlock(ctx context.Context, conn *sql.Conn) error
}

func (b *Book) migrationLock() sessionLock {
	if b.dialect == dialectSQLite {
		return &fileLock{flock.New(b.source.path + ".migrate")}
	}
	name := migrateLockPrefix + b.source.mysql.DBName
	return serverLock(name[:min(len(name), lockNameMax)])
}

// fileLock is a lock on a file beside the database.
type fileLock struct{ file *flock.Flock }

func (l *fileLock) SessionLock(ctx context.Context, _ *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, migrateWait)
	defer cancel()
	if _, err := l.file.TryLockContext(ctx, migrateLook); err != nil {
		return fmt.Errorf("another migration is running: %w", err)
	}
	return nil
}

func (l *fileLock) SessionUnlock(context.Context, *sql.Conn) error { return l.file.Unlock() }

// serverLock is a named lock of the server; it ends with the connection that holds it.
type serverLock string

func (l serverLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	// A migration's own pauses must not end the session, and with it the lock.
	if _, err := conn.ExecContext(ctx, "SET SESSION wait_timeout = ?", int(migrateWait.Seconds())); err != nil {
		return err
	}
	var got sql.NullInt64
	err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", string(l), int(migrateWait.Seconds())).Scan(&got)
	if err != nil {
		return fmt.Errorf("wait for another migration: %w", err)
	}
	if got.Int64 != 1 {
		return errors.New("another migration has been running for five minutes")
	}
	return nil
}

func (l serverLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT RELEASE_LOCK(?)", string(l))
	return err
}
