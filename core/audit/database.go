package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// database is the book of rows, read by statements of its own.
type database struct {
	db     *sql.DB
	sqlite bool
}

// readWait bounds one exchange with the server; a page of rows takes milliseconds, a count over all rows seconds.
const readWait = 2 * time.Minute

func openDatabase(ctx context.Context, dsn string) (*database, error) {
	d := &database{}
	where, sqlite := strings.CutPrefix(dsn, "sqlite:")
	if sqlite {
		// rw: a file that is not there is not made. Nothing is written.
		q := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(10000)", "query_only(1)"}}
		db, err := sql.Open("sqlite", "file:"+where+"?"+q.Encode())
		if err != nil {
			return nil, err
		}
		d.db, d.sqlite = db, true
	} else {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, errors.New("database.dsn cannot be read; want user:password@tcp(host:3306)/name or sqlite:PATH")
		}
		cfg.ParseTime, cfg.InterpolateParams, cfg.MultiStatements = false, true, false
		cfg.ReadTimeout, cfg.WriteTimeout = readWait, readWait
		if cfg.Timeout == 0 {
			cfg.Timeout = 5 * time.Second
		}
		cfg.Logger = &mysql.NopLogger{} // what it would log comes back as an error too
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		d.db, where = sql.OpenDB(connector), cfg.Addr
	}
	d.db.SetMaxOpenConns(3) // the snapshot, and what is asked beside it
	d.db.SetConnMaxIdleTime(2 * time.Second)
	if err := d.db.PingContext(ctx); err != nil {
		return nil, errors.Join(unopened(err, "the database", where, "database.dsn"), d.db.Close())
	}
	return d, nil
}

// snapshot is one consistent view of the whole database, from its first statement on.
func (d *database) snapshot(ctx context.Context) (*sql.Tx, error) {
	options := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	if d.sqlite {
		options = nil // every transaction reads one snapshot there
	}
	return d.db.BeginTx(ctx, options)
}

// querier is a transaction or the pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls scan for every row of a result.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) (n int, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

// now is the database's clock in microseconds.
func (d *database) now(ctx context.Context, q querier) (int64, error) {
	if d.sqlite {
		return time.Now().UnixMicro(), nil
	}
	var t instant
	_, err := each(ctx, q, func(r *sql.Rows) error { return r.Scan(&t) }, "SELECT UTC_TIMESTAMP(6)")
	return t.us, err
}

// instant is a time column: microseconds since 1970, UTC.
type instant struct {
	us    int64
	valid bool
}

// Scan implements sql.Scanner for what the drivers hand over.
func (i *instant) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*i = instant{}
		return nil
	case time.Time:
		*i = instant{us: v.UnixMicro(), valid: true}
		return nil
	case []byte:
		return i.parse(string(v))
	case string:
		return i.parse(v)
	default:
		return fmt.Errorf("a time column holds a %T", src)
	}
}

func (i *instant) parse(text string) error {
	t, err := time.Parse(time.DateTime, text) // takes a fraction of any length
	if err != nil {
		return fmt.Errorf("a time column holds something else: %w", err)
	}
	*i = instant{us: t.UnixMicro(), valid: true}
	return nil
}

// text shows microseconds since 1970 to people.
func text(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000Z") }
