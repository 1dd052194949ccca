package stack

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// createDatabase makes a database of the test's own on the server of dsn and returns its DSN.
func createDatabase(t *testing.T, dsn, name string) string {
	t.Helper()
	slash := strings.LastIndex(dsn, "/")
	require.Positive(t, slash, "FIRSTCOME_DATABASE_DSN must be of the form user:password@tcp(host:port)/name")
	_, params, _ := strings.Cut(dsn[slash+1:], "?")
	db, err := sql.Open("mysql", dsn)
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // a connection for two statements
	_, err = db.ExecContext(t.Context(), "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4")
	require.NoError(t, err)
	t.Cleanup(func() {
		db, err := sql.Open("mysql", dsn)
		require.NoError(t, err)
		defer db.Close() //nolint:errcheck // a connection for one statement
		_, err = db.ExecContext(context.Background(), "DROP DATABASE `"+name+"`")
		require.NoError(t, err)
	})
	own := dsn[:slash+1] + name
	if params != "" {
		own += "?" + params
	}
	return own
}

// takeRedisDB takes one of Redis' databases 1 to 15 that no other test holds.
func takeRedisDB(t *testing.T) int {
	t.Helper()
	for n := 1; n <= 15; n++ {
		lock := flock.New(filepath.Join(os.TempDir(), fmt.Sprintf("firstcome-e2e-redis-%d.lock", n)))
		held, err := lock.TryLock()
		require.NoError(t, err)
		if held {
			t.Cleanup(func() { require.NoError(t, lock.Unlock()) })
			return n
		}
	}
	t.Fatal("all 15 databases of Redis are held by other tests")
	return 0
}

func deleteTopic(t *testing.T, brokers []string, topic string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = kadm.NewClient(client).DeleteTopics(ctx, topic)
	require.NoError(t, err)
}

func withParam(dsn, param string) string {
	if strings.Contains(dsn, "?") {
		return dsn + "&" + param
	}
	return dsn + "?" + param
}
