package ledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
)

// Trouble is what keeps the database from its work, in a word that metrics carry. None of them says anything about a
// record: whoever meets one waits and tries the same again.
type Trouble string

// The troubles. TroubleCut, TroubleSlow and TroubleOther leave open whether what was asked for was done.
const (
	TroubleNone        Trouble = ""
	TroubleDown        Trouble = "unreachable"
	TroubleDenied      Trouble = "access_denied"
	TroubleReadOnly    Trouble = "read_only"
	TroubleDeadlock    Trouble = "deadlock"
	TroubleLock        Trouble = "lock_timeout"
	TroubleConnections Trouble = "too_many_connections"
	TroubleFull        Trouble = "disk_full"
	TroubleSchema      Trouble = "wrong_schema"
	TroubleCut         Trouble = "connection_lost"
	TroubleSlow        Trouble = "slow"
	TroubleOther       Trouble = "other"
)

// Troubles are all of them.
func Troubles() []Trouble {
	return []Trouble{
		TroubleDown, TroubleDenied, TroubleReadOnly, TroubleDeadlock, TroubleLock, TroubleConnections, TroubleFull,
		TroubleSchema, TroubleCut, TroubleSlow, TroubleOther,
	}
}

// Words say what is wrong and what to look at, for people.
func (t Trouble) Words() string {
	switch t {
	case TroubleNone:
		return "the database works"
	case TroubleDown:
		return "the database cannot be reached: is it running, and at the address in database.dsn?"
	case TroubleDenied:
		return "the database refuses this user: check user, password and GRANTs"
	case TroubleReadOnly:
		return "the database is read-only: a standby, or read_only was set; it must take writes again"
	case TroubleDeadlock:
		return "transactions of the database keep locking each other out: look at SHOW ENGINE INNODB STATUS"
	case TroubleLock:
		return "a lock in the database is held too long: look for a long transaction or a backup"
	case TroubleConnections:
		return "the database takes no more connections: raise its max_connections or lower database.max_conns"
	case TroubleFull:
		return "the database's disk or table is full: make room there"
	case TroubleSchema:
		return "the database's schema does not fit this build: run `batch migrate`, or the build that fits"
	case TroubleCut:
		return "the connection to the database was cut: it restarts, or something between cuts connections"
	case TroubleSlow:
		return "the database does not answer in time: is it overloaded, stopped, or its disk slow?"
	case TroubleOther:
		return "the database reports a fault"
	}
	return "the database: " + string(t)
}

// contention says that the trouble is one of some rows: others may be written well at the same moment.
func (t Trouble) contention() bool { return t == TroubleDeadlock || t == TroubleLock }

// Passes says whether waiting may heal what err tells of, as opposed to a database that answers and refuses, or has another
// schema: that somebody has to correct.
func Passes(err error) bool {
	switch TroubleOf(err) {
	case TroubleDown, TroubleReadOnly, TroubleDeadlock, TroubleLock, TroubleConnections, TroubleFull, TroubleCut, TroubleSlow:
		return true
	default:
		return false
	}
}

// TroubleError is an error of the database with its name.
type TroubleError struct {
	Trouble Trouble
	Err     error
}

func (e *TroubleError) Error() string { return fmt.Sprintf("%s (%v)", e.Trouble.Words(), e.Err) }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *TroubleError) Unwrap() error { return e.Err }

// named gives an error of the database its name; any other stays as it is.
func named(err error) error {
	var has *TroubleError
	if err == nil || errors.As(err, &has) {
		return err
	}
	if t := TroubleOf(err); t != TroubleNone {
		return &TroubleError{Trouble: t, Err: err}
	}
	return err
}

// TroubleOf names what kept the database from its work. TroubleNone: nothing did; the error is a definite word about
// what was asked for, or the caller left.
func TroubleOf(err error) Trouble {
	var has *TroubleError
	var schema *SchemaError
	switch {
	case err == nil:
		return TroubleNone
	case errors.As(err, &has):
		return has.Trouble
	case errors.As(err, &schema):
		return TroubleSchema
	case duplicate(err), refused(err):
		return TroubleNone
	}
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return serverTrouble(m)
	}
	if s, ok := errors.AsType[*sqlite.Error](err); ok {
		return fileTrouble(s)
	}
	return wireTrouble(err)
}

// serverTrouble reads the numbers of MySQL and MariaDB.
func serverTrouble(m *mysql.MySQLError) Trouble {
	switch m.Number {
	case errTooManyConns, 1203, 1226: // 1203, 1226: of this user
		return TroubleConnections
	case errDBDenied, errAccessDenied, errAccessDeniedPS, errHostDenied, errUnknownDB, 1142, 1143, 1227, 1370, 3118, 1820, 4151:
		return TroubleDenied // 1142, 1143, 1227, 1370: a GRANT is missing; 3118, 4151: the account is locked; 1820: its password ran out
	case 1290, 1792, 1836: // an option, the transaction or a mode forbids writing
		return TroubleReadOnly
	case errDeadlock:
		return TroubleDeadlock
	case errLockWait, 3572: // 3572: not waited for
		return TroubleLock
	case 1021, 1114: // the disk; the table or its tablespace
		return TroubleFull
	case 3, 1026, 1030: // writing a file; the storage engine: why stands in the text
		if strings.Contains(m.Message, "28") || strings.Contains(m.Message, "No space left") {
			return TroubleFull
		}
		return TroubleOther
	case errNoTable, 1054, 1136, 1364, 1305: // table, column, number of columns, a new column without a default, function
		return TroubleSchema
	case 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1317, 1927, 4031: // shutting down, aborted, interrupted, killed
		return TroubleCut
	case 3024, 1969: // the server's own bound of a statement's time
		return TroubleSlow
	default:
		return TroubleOther
	}
}

// fileTrouble reads the codes of SQLite.
func fileTrouble(s *sqlite.Error) Trouble {
	switch s.Code() & 0xff {
	case sqliteBusy, sqliteLocked:
		return TroubleLock
	case sqliteReadOnly:
		return TroubleReadOnly
	case sqliteFull:
		return TroubleFull
	case sqliteCantOpen:
		return TroubleDown
	case sqlitePerm, sqliteAuth:
		return TroubleDenied
	case sqliteInterrupt:
		return TroubleSlow
	case sqliteError:
		if strings.Contains(s.Error(), "no such") || strings.Contains(s.Error(), "has no column") {
			return TroubleSchema
		}
	}
	return TroubleOther
}

// wireTrouble reads what went wrong on the way to the database.
func wireTrouble(err error) Trouble {
	var dns *net.DNSError
	var op *net.OpError
	var network net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.As(err, &dns):
		return TroubleDown
	case errors.As(err, &op) && op.Op == "dial":
		return TroubleDown
	case errors.Is(err, context.DeadlineExceeded):
		return TroubleSlow
	case errors.As(err, &network) && network.Timeout():
		return TroubleSlow
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), network != nil:
		return TroubleCut
	default:
		return TroubleNone
	}
}
