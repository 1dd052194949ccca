package ledger

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
)

// Error numbers of MySQL and MariaDB.
const (
	errTooManyConns    = 1040
	errDBDenied        = 1044
	errAccessDenied    = 1045
	errUnknownDB       = 1049
	errDuplicate       = 1062
	errHostDenied      = 1130
	errNoTable         = 1146
	errUnknownVariable = 1193
	errLockWait        = 1205
	errDeadlock        = 1213
	errWrongValue      = 1366
	errAccessDeniedPS  = 1698 // MariaDB: the account logs in by socket only
	errCheck           = 3819
	errCheckMariaDB    = 4025
)

// Error codes of SQLite; the low byte is the class.
const (
	sqliteError      = 1
	sqlitePerm       = 3
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteReadOnly   = 8
	sqliteInterrupt  = 9
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteTooBig     = 18
	sqliteConstraint = 19
	sqliteMismatch   = 20
	sqliteAuth       = 23
	sqliteNotADB     = 26
	sqliteUnique     = 2067
	sqlitePrimaryKey = 1555
	sqliteRowID      = 2579
)

// transient says that the same transaction may well pass when it is run again at once: a deadlock, a lock that took too
// long.
func transient(err error) bool {
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return m.Number == errDeadlock || m.Number == errLockWait
	}
	if s, ok := errors.AsType[*sqlite.Error](err); ok {
		return s.Code()&0xff == sqliteBusy || s.Code()&0xff == sqliteLocked
	}
	return false
}

// duplicate says that a unique key was hit; which one is asked of the tables, since the databases word it differently.
func duplicate(err error) bool {
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return m.Number == errDuplicate
	}
	if s, ok := errors.AsType[*sqlite.Error](err); ok {
		return s.Code() == sqliteUnique || s.Code() == sqlitePrimaryKey || s.Code() == sqliteRowID
	}
	return false
}

// refused says that the database will never take these values: data too long or out of range (SQLSTATE class 22), a
// constraint (class 23). Anything else is a state of the database, not of the record, and passes.
func refused(err error) bool {
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch m.Number {
		case errWrongValue, errCheck, errCheckMariaDB:
			return true
		case errDuplicate:
			return false
		}
		class := string(m.SQLState[:2])
		return class == "22" || class == "23"
	}
	if s, ok := errors.AsType[*sqlite.Error](err); ok {
		class := s.Code() & 0xff
		return class == sqliteTooBig || class == sqliteMismatch || class == sqliteConstraint && !duplicate(err)
	}
	return false
}

// explain says what a newcomer can do about a database that does not open. where is its address or path.
func explain(err error, where, user, name string) error {
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch m.Number {
		case errAccessDenied, errAccessDeniedPS:
			return fmt.Errorf("database at %s refused user %q: wrong user or password in database.dsn? (%w)", where, user, err)
		case errUnknownDB:
			return fmt.Errorf("database at %s has no database %q: CREATE DATABASE %s first (%w)", where, name, name, err)
		case errDBDenied:
			return fmt.Errorf("database at %s: user %q may not use database %q: GRANT it first (%w)", where, user, name, err)
		case errHostDenied:
			return fmt.Errorf("database at %s takes no connection from this machine: its accounts name the hosts (%w)", where, err)
		case errTooManyConns:
			return fmt.Errorf("database at %s has no connection left: lower database.max_conns of the roles (%w)", where, err)
		case errUnknownVariable:
			return fmt.Errorf("database.dsn has a parameter that neither the driver nor the server knows (%w)", err)
		}
	}
	if s, ok := errors.AsType[*sqlite.Error](err); ok && s.Code()&0xff == sqliteNotADB {
		return fmt.Errorf("%s is a file of something else, not an SQLite database (%w)", where, err)
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: is the database running there? (%w)", where, err)
	case errors.As(err, &dns):
		return fmt.Errorf("the host of %s is not known: a typing mistake in database.dsn? (%w)", where, err)
	default:
		return fmt.Errorf("open the database at %s: %w", where, err)
	}
}

// noTable says that a table is missing: the schema was never migrated.
func noTable(err error) bool {
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return m.Number == errNoTable
	}
	return err != nil && strings.Contains(err.Error(), "no such table")
}
