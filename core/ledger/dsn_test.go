package ledger

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

// testBook is a fresh, migrated book in a file.
func testBook(t *testing.T) *Book {
	t.Helper()
	book, err := Open(t.Context(), Config{DSN: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, book.Close()) })
	require.NoError(t, book.Migrate(t.Context()))
	return book
}

const password = "pa55w0rd-of-the-test"

func TestEveryMistakeInADSNIsToldWithoutThePassword(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	require.NoError(t, os.WriteFile(text, []byte("these are notes and by no means a database, however long they get, and so on"), 0o600))
	for dsn, want := range map[string]string{
		"":                                   "database.dsn is empty; " + wantedDSN,
		"  ":                                 "database.dsn is empty; " + wantedDSN,
		"sqlite:":                            "sqlite: needs the path of a file",
		"sqlite::memory:":                    "sqlite: needs the path of a file",
		"sqlite:file:x.db":                   "sqlite: needs the path of a file",
		"sqlite:///var/x.db":                 "takes a path and no //",
		"sqlite:" + text + "?_journal=off":   "takes no ? and no parameters",
		"sqlite:" + folder + "/missing/x.db": "missing is not a folder that exists",
		"sqlite:" + folder:                   "is a folder; the database is one file",
		"sqlite:" + text:                     "is a file of something else, not an SQLite database",
		"mysql://root:" + password + "@host/name":                 "is a URL; " + wantedDSN,
		"root:" + password:                                        "the slash before the database's name is missing",
		"root:" + password + "@tcp(host:3306":                     "the slash before the database's name is missing",
		"root:" + password + "@tcp(host:3306/n":                   "the bracket after the address is missing",
		"root:" + password + "@host:3306/name":                    "the address is not written as tcp(host:port)",
		"root:" + password + "@tcp(host:3306)/":                   "names no database",
		"root:" + password + "@tcp(host)/n?parseTime=" + password: "a parameter after the ? has a value that it cannot have",
		"root:" + password + "@tcp(host)/n%zz":                    "a character must be escaped as %XX",
	} {
		_, err := Open(t.Context(), Config{DSN: dsn})
		require.ErrorContains(t, err, want, dsn)
		require.NotContains(t, err.Error(), password)
	}
}

func TestADatabaseThatDoesNotAnswerIsToldBy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := free.Addr().String()
	require.NoError(t, free.Close())
	_, err = Open(ctx, Config{DSN: "root:" + password + "@tcp(" + nobody + ")/firstcome"})
	require.ErrorContains(t, err, "nothing listens at "+nobody+": is the database running there?")
	require.NotContains(t, err.Error(), password)
}

func TestAServerSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"FIRSTCOME_TEST_MYSQL_DSN", "FIRSTCOME_TEST_MARIADB_DSN"} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			dsn := os.Getenv(env)
			if dsn == "" {
				t.Skipf("%s names no server: `make services` starts one", env)
			}
			for want, change := range map[string]func(*mysql.Config){
				`refused user "nobody-here": wrong user or password in database.dsn?`: func(c *mysql.Config) {
					c.User, c.Passwd = "nobody-here", password
				},
				`has no database "firstcome_test_not_there": CREATE DATABASE firstcome_test_not_there first`: func(c *mysql.Config) { c.DBName = "firstcome_test_not_there" },
				"has a parameter that neither the driver nor the server knows": func(c *mysql.Config) {
					c.Params = map[string]string{"tiemout": "5"}
				},
			} {
				cfg, err := mysql.ParseDSN(dsn)
				require.NoError(t, err)
				change(cfg)
				_, err = Open(t.Context(), Config{DSN: cfg.FormatDSN()})
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), password)
			}
		})
	}
}

func TestServersThatAreTooOldAreRefused(t *testing.T) {
	t.Parallel()
	for version, good := range map[string]bool{
		"8.0.15": true, "8.4.2": true, "9.1.0": true, "10.11.19-MariaDB-0+deb12u1": true, "11.4.2-MariaDB": true,
		"5.7.44": false, "10.5.1-MariaDB": false, "5.5.5-10.4.2-MariaDB": false, "unknown": true,
	} {
		err := checkServer(version)
		if good {
			require.NoError(t, err, version)
		} else {
			require.ErrorContains(t, err, "or later is needed", version)
		}
	}
}
