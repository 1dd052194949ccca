package ledger_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/ledger/ledgertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLite(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(t *testing.T) string { return ledgertest.SQLiteDSN(t) })
}

func TestMySQL(t *testing.T) {
	t.Parallel()
	dsn := ledgertest.ServerDSN(t, ledgertest.EnvMySQL)
	ledgertest.Run(t, func(t *testing.T) string { return ledgertest.FreshDSN(t, dsn) })
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	dsn := ledgertest.ServerDSN(t, ledgertest.EnvMariaDB)
	ledgertest.Run(t, func(t *testing.T) string { return ledgertest.FreshDSN(t, dsn) })
}
