package servers_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each server keeps its port and its data over a kill, and does not answer while it is paused.
func TestRedisSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := stack.Own(t)(servers.NewRedis(filepath.Join(t.TempDir(), "redis"), "--appendfsync", "always"))
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), ReadTimeout: 200 * time.Millisecond, MaxRetries: -1})
	defer client.Close() //nolint:errcheck // nothing was left in it
	require.NoError(t, client.Set(t.Context(), "a", 1, 0).Err())

	require.NoError(t, s.Pause())
	require.Error(t, client.Get(t.Context(), "a").Err(), "a paused server answered")
	require.NoError(t, s.Resume())
	require.NoError(t, s.Kill())
	require.False(t, s.Running())
	require.NoError(t, s.Start(t.Context()))
	require.Equal(t, "1", client.Get(t.Context(), "a").Val())
}

func TestMySQLSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := stack.Own(t)(servers.NewMySQL(filepath.Join(t.TempDir(), "mysql")))
	run := func(query string) error {
		db, err := sql.Open("mysql", s.DSN())
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), query)
		return errors.Join(err, db.Close())
	}
	require.NoError(t, run("CREATE TABLE a (id INT PRIMARY KEY)"))
	require.NoError(t, run("INSERT INTO a VALUES (1)"))
	require.NoError(t, s.Kill())
	require.NoError(t, s.Start(t.Context()))
	require.Error(t, run("INSERT INTO a VALUES (1)"), "the row is gone")
}

func TestKafkaSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := stack.Own(t)(servers.NewKafka(filepath.Join(t.TempDir(), "kafka"), servers.KafkaOptions{Advertised: []string{"127.0.0.1:1"}}))
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addr()), kgo.DefaultProduceTopic("t"))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "t")
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord("a")).FirstErr())
	require.NoError(t, s.Kill())
	require.NoError(t, s.Start(t.Context()))
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), "t")
	require.NoError(t, err)
	require.NoError(t, ends.Error())
	end, _ := ends.Lookup("t", 0)
	require.EqualValues(t, 1, end.Offset)

	other, err := kgo.NewClient(kgo.SeedBrokers(s.Listener(0)))
	require.NoError(t, err)
	defer other.Close()
	brokers, err := kadm.NewClient(other).ListBrokers(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, brokers[0].Port, "who comes by the second listener is told its advertised address")
}
