package ledger_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

func TestEveryTroubleHasItsNameAndWords(t *testing.T) {
	t.Parallel()
	server := func(n uint16, text string) error { return &mysql.MySQLError{Number: n, Message: text} }
	for want, errs := range map[ledger.Trouble][]error{
		ledger.TroubleDown: {
			&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, &net.DNSError{Name: "db"},
			&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded},
		},
		ledger.TroubleDenied:      {server(1045, ""), server(1142, ""), server(1698, "")},
		ledger.TroubleReadOnly:    {server(1290, "--read-only"), server(1836, "")},
		ledger.TroubleDeadlock:    {server(1213, ""), errors.Join(server(1213, ""), context.DeadlineExceeded)},
		ledger.TroubleLock:        {server(1205, "")},
		ledger.TroubleConnections: {server(1040, ""), server(1203, ""), server(1226, "")},
		ledger.TroubleFull:        {server(1114, ""), server(1021, ""), server(1026, "errno: 28 - No space left on device")},
		ledger.TroubleSchema:      {server(1054, ""), server(1146, ""), &ledger.SchemaError{Have: 3, Need: 4}},
		ledger.TroubleCut: {
			driver.ErrBadConn, mysql.ErrInvalidConn, io.EOF, syscall.ECONNRESET, server(1053, ""), server(1927, ""),
			&net.OpError{Op: "read", Err: syscall.ECONNRESET},
		},
		ledger.TroubleSlow:  {context.DeadlineExceeded, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, server(3024, "")},
		ledger.TroubleOther: {server(1026, "errno: 5 - Input/output error"), server(9999, "")},
		ledger.TroubleNone: {
			nil, coupon.ErrNotFound, coupon.ErrBelowIssued, context.Canceled, errors.New("another one"),
			server(1062, "duplicate"), &mysql.MySQLError{Number: 1406, SQLState: [5]byte{'2', '2', '0', '0', '1'}},
		},
	} {
		for _, err := range errs {
			if err != nil {
				err = fmt.Errorf("write: %w", err)
			}
			assert.Equal(t, want, ledger.TroubleOf(err), "%v", err)
		}
		assert.NotEmpty(t, want.Words())
	}
	words := map[string]bool{}
	for _, trouble := range ledger.Troubles() {
		assert.False(t, words[trouble.Words()], "%s says what another one says", trouble)
		words[trouble.Words()] = true
	}
}

func TestWhatWaitingHealsIsWaitedForAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, number := range []uint16{1040, 1290, 1205, 1213, 1114, 1053} {
		assert.True(t, ledger.Passes(&mysql.MySQLError{Number: number}), number)
	}
	for _, err := range []error{&mysql.MySQLError{Number: 1045}, &ledger.SchemaError{}, coupon.ErrNotFound, nil} {
		assert.False(t, ledger.Passes(err), "%v", err)
	}
}
