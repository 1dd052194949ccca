package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	gormmysql "gorm.io/driver/mysql"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// DefaultMaxConns bounds the connections of one process where the configuration names none: ten processes stay below
// the 151 that a MySQL server takes by default.
const DefaultMaxConns = 12

// Config says where the book is.
type Config struct {
	DSN      string // go-sql-driver form, or sqlite:PATH
	MaxConns int    // 0: DefaultMaxConns. On SQLite, readers; there is always one writer
	Log      *slog.Logger
	// Registerer gets the metrics of the database's troubles until Close; nil: nobody.
	Registerer prometheus.Registerer
}

// dialect is what differs between the databases.
type dialect uint8

const (
	dialectMySQL dialect = iota + 1 // and MariaDB
	dialectSQLite
)

// Book is the ledger of one database. Its methods may be called by many at once. An error of theirs that is none of
// package coupon's is an unknown outcome.
type Book struct {
	db      *gorm.DB // writes, and reads that belong to them
	read    *gorm.DB // reads that wait for no writer; the same as db on a server
	pool    *sql.DB
	pools   []*sql.DB
	dialect dialect
	source  source
	log     *slog.Logger
	health  *health
	metrics prometheus.Registerer // nil: none
}

// source is what it takes to open one more pool.
type source struct {
	path  string        // SQLite
	mysql *mysql.Config // MySQL, MariaDB
}

// Open connects to the database and sets every session up as the product needs it. It does not look at the schema; see
// CheckSchema. Its errors tell what to do and never show the password.
func Open(ctx context.Context, cfg Config) (*Book, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	var book *Book
	var err error
	switch path, isFile := strings.CutPrefix(cfg.DSN, sqlitePrefix); {
	case strings.TrimSpace(cfg.DSN) == "":
		return nil, errors.New("database.dsn is empty; " + wantedDSN)
	case isFile:
		book, err = openSQLite(ctx, path, cfg.MaxConns)
	default:
		book, err = openMySQL(ctx, cfg.DSN, cfg.MaxConns)
	}
	if err != nil {
		return nil, err
	}
	book.log, book.health = cfg.Log, newHealth(cfg.Log)
	if cfg.Registerer == nil {
		return book, nil
	}
	for _, c := range book.health.collectors() {
		if err := cfg.Registerer.Register(c); err != nil {
			return nil, errors.Join(fmt.Errorf("metrics of the database: %w", err), book.Close())
		}
	}
	book.metrics = cfg.Registerer
	return book, nil
}

func openSQLite(ctx context.Context, path string, readers int) (*Book, error) {
	path, err := sqlitePath(path)
	if err != nil {
		return nil, err
	}
	b := &Book{dialect: dialectSQLite, source: source{path: path}}
	// One writer: SQLite has one write lock, and waiting for a connection is fair while waiting for the lock is not.
	b.pool, b.db, err = b.openFile(ctx, false, 1)
	if err != nil {
		return nil, err
	}
	b.pools = append(b.pools, b.pool)
	readPool, read, err := b.openFile(ctx, true, readers)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.pools, b.read = append(b.pools, readPool), read
	return b, nil
}

func (b *Book) openFile(ctx context.Context, readOnly bool, conns int) (*sql.DB, *gorm.DB, error) {
	pool, err := sql.Open("sqlite", sqliteSource(b.source.path, readOnly))
	if err != nil {
		return nil, nil, explain(err, b.source.path, "", "")
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	if err = pool.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(explain(err, b.source.path, "", ""), pool.Close())
	}
	db, err := gorm.Open(gormsqlite.New(gormsqlite.Config{Conn: pool}), gormConfig())
	if err != nil {
		return nil, nil, errors.Join(explain(err, b.source.path, "", ""), pool.Close())
	}
	return pool, db, nil
}

func openMySQL(ctx context.Context, dsn string, conns int) (*Book, error) {
	cfg, err := mysqlConfig(dsn)
	if err != nil {
		return nil, err
	}
	b := &Book{dialect: dialectMySQL, source: source{mysql: cfg}}
	if b.pool, err = openServer(cfg); err != nil {
		return nil, err
	}
	b.pools = append(b.pools, b.pool)
	b.pool.SetMaxOpenConns(conns)
	b.pool.SetMaxIdleConns(conns)
	b.pool.SetConnMaxIdleTime(idleWait)
	var version string
	if err = b.pool.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return nil, errors.Join(explain(err, cfg.Addr, cfg.User, cfg.DBName), b.Close())
	}
	if err = checkServer(version); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	// RETURNING, which gorm adds on MariaDB, makes RowsAffected count duplicates.
	b.db, err = gorm.Open(gormmysql.New(gormmysql.Config{Conn: b.pool, DisableWithReturning: true}), gormConfig())
	if err != nil {
		return nil, errors.Join(explain(err, cfg.Addr, cfg.User, cfg.DBName), b.Close())
	}
	b.read = b.db
	return b, nil
}

func openServer(cfg *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("database.dsn: %s; %s", dsnMistake(err), wantedDSN)
	}
	return sql.OpenDB(session{Connector: connector, settings: sessionSettings()}), nil
}

var versionForm = regexp.MustCompile(`^(\d+)\.(\d+)`)

// checkServer refuses servers that lack what the statements need: FOR SHARE (MySQL 8.0), instant unlocking of rows that
// do not match and durable DDL as tested from MariaDB 10.6 on.
func checkServer(version string) error {
	parts := versionForm.FindStringSubmatch(version)
	if parts == nil {
		return nil // an unusual build; the schema's check will tell more
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0
		}
		return n
	}
	major, minor := number(parts[1]), number(parts[2])
	if strings.Contains(version, "MariaDB") {
		if major < 10 || major == 10 && minor < 6 {
			return fmt.Errorf("the database is MariaDB %s; 10.6 or later is needed", version)
		}
		return nil
	}
	if major < 8 {
		return fmt.Errorf("the database is MySQL %s; 8.0 or later is needed", version)
	}
	return nil
}

func gormConfig() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true, // each transaction here is written out
		Logger:                 logger.Discard,
		DisableAutomaticPing:   true,
	}
}

// Close ends all connections.
func (b *Book) Close() error {
	var errs []error
	if b.metrics != nil {
		for _, c := range b.health.collectors() {
			b.metrics.Unregister(c)
		}
	}
	for _, pool := range b.pools {
		errs = append(errs, pool.Close())
	}
	return errors.Join(errs...)
}

// Ping says whether the database answers. It waits for no writer.
func (b *Book) Ping(ctx context.Context) error {
	if err := b.pools[len(b.pools)-1].PingContext(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// SQL is the pool of the connections that write, for tests that plant or count rows.
func (b *Book) SQL() *sql.DB { return b.pool }

// Tries of one transaction that meets a deadlock or a lock that takes too long, and the pause before the second; each
// further pause is twice as long. Five deadlocks in a row do not happen by chance; then the caller decides.
const (
	txTries = 5
	txPause = 5 * time.Millisecond
)

// write runs fn in one transaction and commits it; fn may be run again, so it must not add to what an earlier run left.
// Everything fn does with the database it does through tx: on SQLite any other write would wait for itself.
func (b *Book) write(ctx context.Context, fn func(tx *gorm.DB) error) error {
	pause := txPause
	var before error // why the try before failed
	for try := 1; ; try++ {
		err := b.db.WithContext(ctx).Transaction(fn)
		if err != nil && ctx.Err() != nil {
			err = errors.Join(before, err) // the lock that took the time, not only that time is over
		}
		if err == nil || !transient(err) || try == txTries {
			return b.noted(err)
		}
		wait := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // jitter is no secret
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return b.noted(errors.Join(err, ctx.Err()))
		}
		pause *= 2
		before = err
	}
}

// clock is the database's own time where it is shared by machines, so that leases mean the same to all of them.
func (b *Book) clock(tx *gorm.DB) (time.Time, error) {
	if b.dialect == dialectSQLite {
		return time.Now().UTC().Truncate(time.Microsecond), nil
	}
	var now stamp
	err := tx.Raw("SELECT UTC_TIMESTAMP(6)").Row().Scan(&now)
	return now.Time, err
}

// clockColumn adds the clock to a statement that is sent anyway; on SQLite it is a NULL, and clock costs no statement.
func (b *Book) clockColumn(name string) string {
	if b.dialect == dialectSQLite {
		return "NULL AS " + name
	}
	return "UTC_TIMESTAMP(6) AS " + name
}
