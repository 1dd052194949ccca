package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzDSN: whatever stands in the DSN, no complaint shows what could be the password, and what is taken has the settings
// that the protocol rests on.
func FuzzDSN(f *testing.F) {
	for _, dsn := range []string{
		"root:secret@tcp(127.0.0.1:3306)/firstcome", "root@unix(/tmp/x.sock)/n?parseTime=false&clientFoundRows=true&loc=Local",
		"u:p@tcp([::1]:1)/n?sql_mode=%27%27&autocommit=0&transaction_isolation=%27SERIALIZABLE%27&multiStatements=true",
		"mysql://u:p@h/n", "/", "@/", "u:p@(/", "u:p@tcp(h)/n?timeout=-1s&readTimeout=x", "u:p/%zz", "u:@/n?loc=%00", "a:b@c(d)/e?f=%",
		"u:p@tcp(h:1)/n?rejectReadOnly=true&interpolateParams=false&time_zone=%27%2B09%3A00%27&tx_isolation=%27x%27",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		cfg, err := mysqlConfig(dsn)
		if err != nil {
			require.Contains(t, err.Error(), "database.dsn")
			// The words of the complaint are ours: nothing of what was given is in them.
			known := false
			for _, ours := range []string{
				"is a URL; ", "names no database", "the slash before", "the bracket after", "the address is not written as",
				"must be escaped as", "this collation", "a parameter after the ? has a value",
			} {
				known = known || strings.Contains(err.Error(), ours)
			}
			require.True(t, known, "%v", err)
			require.Less(t, len(err.Error()), 300)
			return
		}
		require.NotEmpty(t, cfg.DBName)
		require.False(t, cfg.ClientFoundRows)
		require.False(t, cfg.MultiStatements)
		require.False(t, cfg.RejectReadOnly)
		require.True(t, cfg.ParseTime)
		require.True(t, cfg.InterpolateParams)
		require.Equal(t, time.UTC, cfg.Loc)
		require.Positive(t, cfg.Timeout+cfg.ReadTimeout+cfg.WriteTimeout)
		for name := range cfg.Params {
			require.NotContains(t, []string{"sql_mode", "time_zone", "transaction_isolation", "tx_isolation", "autocommit"}, name)
		}
	})
}
