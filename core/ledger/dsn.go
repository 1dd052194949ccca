package ledger

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const sqlitePrefix = "sqlite:"

// wantedDSN is what every complaint about a DSN ends with. The DSN itself is never printed: it holds the password.
const wantedDSN = "want user:password@tcp(host:3306)/name for MySQL or MariaDB, or sqlite:PATH"

// Bounds of one connection.
const (
	dialTimeout = 5 * time.Second  // a server that is up answers within a round trip; the rest is for slow name servers
	ioTimeout   = 30 * time.Second // above lockWait and any statement of ours; ends a half-open connection
)

// sqlitePath checks the part after "sqlite:".
func sqlitePath(path string) (string, error) {
	switch {
	case path == "" || strings.HasPrefix(path, ":memory:") || strings.HasPrefix(path, "file:"):
		return "", errors.New("database.dsn: sqlite: needs the path of a file, as in sqlite:./data/ledger.db")
	case strings.HasPrefix(path, "//"):
		return "", errors.New("database.dsn: sqlite:PATH takes a path and no //, as in sqlite:/var/lib/firstcome/ledger.db")
	case strings.Contains(path, "?"):
		return "", errors.New("database.dsn: sqlite:PATH takes no ? and no parameters; they are set already")
	}
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	if err != nil || !info.IsDir() {
		return "", fmt.Errorf("database.dsn: %s is not a folder that exists; make it first", folder)
	}
	if info, err = os.Stat(path); err == nil && info.IsDir() {
		return "", fmt.Errorf("database.dsn: %s is a folder; the database is one file", path)
	}
	return path, nil
}

// sqliteSource is the modernc form. FULL: a commit is on the disk when it returns. The write lock is taken when a
// transaction begins, since one that begins by reading and then wants to write can only fail (SQLITE_BUSY_SNAPSHOT).
func sqliteSource(path string, readOnly bool) string {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyWait.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("_txlock", "immediate")
	}
	return path + "?" + q.Encode()
}

// mysqlConfig parses a go-sql-driver DSN and forces what the product relies on, whatever it said.
func mysqlConfig(dsn string) (*mysql.Config, error) {
	if strings.Contains(dsn, "://") {
		return nil, errors.New("database.dsn is a URL; " + wantedDSN)
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("database.dsn: %s; %s", dsnMistake(err), wantedDSN)
	}
	if cfg.DBName == "" {
		return nil, errors.New("database.dsn names no database; end it with /firstcome, for example")
	}
	cfg.ClientFoundRows = false // true counts duplicates as affected
	cfg.ParseTime = true
	cfg.Loc = time.UTC
	cfg.InterpolateParams = true // one round trip a statement
	cfg.MultiStatements = false
	cfg.RejectReadOnly = false
	if cfg.Timeout == 0 {
		cfg.Timeout = dialTimeout
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = ioTimeout
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = ioTimeout
	}
	cfg.Logger = &mysql.NopLogger{} // what it would log comes back as an error too
	for _, forced := range []string{"sql_mode", "time_zone", "transaction_isolation", "tx_isolation", "autocommit"} {
		delete(cfg.Params, forced)
	}
	return cfg, nil
}

// dsnMistake tells which part is wrong, in words of ours: the driver's may quote what it could not read.
func dsnMistake(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "missing the slash"):
		return "the slash before the database's name is missing"
	case strings.Contains(text, "not terminated"):
		return "the bracket after the address is missing"
	case strings.Contains(text, "default addr"):
		return "the address is not written as tcp(host:port)"
	case strings.Contains(text, "escape"):
		return "a character must be escaped as %XX"
	case strings.Contains(text, "collation"):
		return "this collation cannot be used"
	default:
		return "a parameter after the ? has a value that it cannot have"
	}
}
