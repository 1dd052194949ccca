package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// doctor runs `batch doctor` and returns what is not fine, by name, and the exit status.
func doctor(t *testing.T, s *stack.Stack) (found map[string]string, status int) {
	t.Helper()
	out, err := s.TryRun(t, "batch", "doctor", "--json")
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		status = ended.ExitCode()
	} else {
		require.NoError(t, err)
	}
	var report struct {
		Checks []struct{ Name, Severity, Unknown, Is string }
	}
	start := strings.Index(out, "{\n")
	require.GreaterOrEqual(t, start, 0, "%s", out)
	require.NoError(t, json.NewDecoder(strings.NewReader(out[start:])).Decode(&report), "%s", out)
	found = map[string]string{}
	for _, c := range report.Checks {
		switch {
		case c.Unknown != "":
			found[c.Name] = "not known"
		case c.Severity != "fine":
			found[c.Name] = c.Severity
		}
	}
	// What the machine and the servers of the tests cannot help: one broker, MySQL 8.0.15, a machine that is full.
	for name, known := range map[string]string{"kafka_replication": "risky", "database_check": "advice", "host_files": "risky"} {
		if found[name] == known {
			delete(found, name)
		}
	}
	return found, status
}

// shared is an address of the servers of make services.
func shared(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv(name) == "" {
		t.Skipf("no real servers: %s is not set (make test-real sets it)", name)
	}
	return name + "=" + os.Getenv(name)
}

type finds = map[string]string

// Tests wait for what comes within a moment on an idle machine.
const patience, poll = time.Minute, 50 * time.Millisecond

const breaks, risky, advice, unknown = "breaks a guarantee", "risky", "advice", "not known"

func TestEachBadSettingOfRedisIsReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := stack.Own(t)(servers.NewRedis(filepath.Join(dir, "redis")))
	env := []string{
		shared(t, "FIRSTCOME_KAFKA_BROKERS"), "FIRSTCOME_DATABASE_DSN=sqlite:" + filepath.Join(dir, "ledger.db"),
		"FIRSTCOME_REDIS_ADDRS=" + server.Addr(),
	}
	s := stack.Bare(t, env...)
	s.Run(t, "batch", "migrate")
	found, status := doctor(t, s)
	require.Equal(t, finds{}, found, "as it should be")
	require.Equal(t, 0, status)

	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close() //nolint:errcheck // nothing was left in it
	set := func(name, value string) {
		t.Helper()
		require.NoError(t, client.ConfigSet(t.Context(), name, value).Err())
	}
	for _, c := range []struct {
		name, bad, good string
		want            finds
	}{
		{"maxmemory-policy", "allkeys-lru", "noeviction", finds{"redis_eviction": breaks}},
		{"maxmemory-policy", "volatile-lru", "noeviction", finds{"redis_eviction": breaks}},
		{"appendfsync", "always", "everysec", finds{"redis_persistence": advice}},
	} {
		set(c.name, c.bad)
		found, status = doctor(t, s)
		assert.Equal(t, c.want, found, "%s %s", c.name, c.bad)
		assert.Equal(t, c.want["redis_eviction"] == breaks, status == 1, "%s %s", c.name, c.bad)
		set(c.name, c.good)
	}

	require.NoError(t, client.Do(t.Context(), "acl", "setuser", "poor", "on", "nopass", "~fc:*", "+@all", "-hset", "-config").Err())
	found, status = doctor(t, stack.Bare(t, append(env, "FIRSTCOME_REDIS_USERNAME=poor", "FIRSTCOME_REDIS_PASSWORD=x")...))
	assert.Equal(t, finds{"redis_rights": breaks}, found)
	assert.Equal(t, 1, status)

	replica := stack.Own(t)(servers.NewRedis(filepath.Join(dir, "replica"), "--replicaof", strings.Replace(server.Addr(), ":", " ", 1)))
	require.Eventually(t, func() bool {
		return strings.Contains(client.Info(t.Context(), "replication").Val(), "connected_slaves:1")
	}, patience, poll)
	found, _ = doctor(t, s)
	assert.Equal(t, finds{"redis_replica_lag": risky, "redis_min_replicas": risky}, found)
	set("min-replicas-to-write", "1")
	found, _ = doctor(t, stack.Bare(t, append(env, "FIRSTCOME_REDIS_REPLICA_MAX_LAG=11s")...))
	assert.Equal(t, finds{}, found)
	found, _ = doctor(t, stack.Bare(t, append(env, "FIRSTCOME_REDIS_REPLICA_MAX_LAG=9s")...))
	assert.Equal(t, finds{"redis_replica_lag": risky}, found, "the primary writes on for 10 s")
	found, status = doctor(t, stack.Bare(t, append(env, "FIRSTCOME_REDIS_ADDRS="+replica.Addr())...))
	assert.Equal(t, breaks, found["redis_role"])
	assert.Equal(t, 1, status)

	require.NoError(t, server.Kill())
	found, status = doctor(t, s)
	assert.Equal(t, 2, status, "could not look, and nothing that could be looked at is broken")
	assert.Equal(t, unknown, found["redis_eviction"])
	assert.NotContains(t, found, "database_session")
}

func TestARoleRefusesToStartOnWhatBreaksAGuaranteeUnlessItIsAllowed(t *testing.T) {
	t.Parallel()
	server := stack.Own(t)(servers.NewRedis(filepath.Join(t.TempDir(), "redis"), "--maxmemory-policy", "allkeys-lru"))
	shared(t, "FIRSTCOME_REDIS_ADDRS")
	s := stack.Start(t, stack.Real, stack.Options{Redis: server.Addr(), Env: []string{"FIRSTCOME_CHECKS_ALLOW=redis_eviction"}})
	assert.Contains(t, s.Procs[0].Log(), "checks.allow accepts what breaks a guarantee")
	strict := s.With("FIRSTCOME_CHECKS_ALLOW=", "FIRSTCOME_HTTP_ADDR=127.0.0.1:0", "FIRSTCOME_OPS_ADDR=127.0.0.1:0")
	for _, command := range [][]string{{"api"}, {"batch", "serve"}} {
		out, err := strict.TryRun(t, command[0], command[1:]...)
		require.Error(t, err, "%v", command)
		assert.Contains(t, out, command[0]+" does not start: one thing breaks a guarantee\n  redis_eviction: is: allkeys-lru")
		assert.Contains(t, out, "should be: maxmemory-policy noeviction")
	}
	out, err := s.With("FIRSTCOME_CHECKS_ALLOW=redis_evicton").TryRun(t, "api")
	require.Error(t, err)
	assert.Contains(t, out, `"redis_evicton" is no check; did you mean redis_eviction?`)
}

func TestEachBadSettingOfTheDatabaseIsReported(t *testing.T) {
	t.Parallel()
	server := stack.Own(t)(servers.NewMySQL(filepath.Join(t.TempDir(), "mysql")))
	env := []string{shared(t, "FIRSTCOME_REDIS_ADDRS"), shared(t, "FIRSTCOME_KAFKA_BROKERS"), "FIRSTCOME_DATABASE_DSN=" + server.DSN()}
	s := stack.Bare(t, env...)
	found, status := doctor(t, s)
	assert.Equal(t, breaks, found["database_schema"], "not migrated yet")
	assert.Equal(t, 1, status)
	s.Run(t, "batch", "migrate")
	found, status = doctor(t, s)
	require.Equal(t, finds{}, found, "as it should be")
	require.Equal(t, 0, status)

	db, err := sql.Open("mysql", server.DSN())
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // nothing is under way
	run := func(statement string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	const users = "ALTER TABLE issues MODIFY user_id VARCHAR(64) CHARACTER SET ascii COLLATE %s NOT NULL"
	for _, c := range []struct {
		bad, good string
		want      finds
	}{
		{"SET GLOBAL innodb_flush_log_at_trx_commit = 2", "SET GLOBAL innodb_flush_log_at_trx_commit = 1", finds{"database_durability": breaks}},
		{"SET GLOBAL max_allowed_packet = 1048576", "SET GLOBAL max_allowed_packet = 67108864", finds{"database_packet": risky}},
		{"SET GLOBAL max_connections = 40", "SET GLOBAL max_connections = 500", finds{"database_connections": risky}},
		{"SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0", finds{"database_read_only": risky}},
		{fmt.Sprintf(users, "ascii_general_ci"), fmt.Sprintf(users, "ascii_bin"), finds{"database_columns": breaks}},
		{"ALTER TABLE leases ENGINE = MyISAM", "ALTER TABLE leases ENGINE = InnoDB", finds{"database_engine": breaks}},
		// The product's own sessions do not follow the server's defaults.
		{"SET GLOBAL sql_mode = ''", "SET GLOBAL sql_mode = DEFAULT", finds{}},
		{"SET GLOBAL wait_timeout = 1000", "SET GLOBAL wait_timeout = 28800", finds{}},
		{"UPDATE goose_db_version SET version_id = version_id + 100 ORDER BY id DESC LIMIT 1",
			"UPDATE goose_db_version SET version_id = version_id - 100 ORDER BY id DESC LIMIT 1", finds{"database_schema": breaks}},
	} {
		run(c.bad)
		found, _ = doctor(t, s)
		assert.Equal(t, c.want, found, c.bad)
		run(c.good)
	}
	found, _ = doctor(t, s)
	require.Equal(t, finds{}, found, "put back")
}

// Three brokers, as a real cluster has.
func TestEachBadSettingOfKafkaIsReported(t *testing.T) {
	t.Parallel()
	env := []string{
		shared(t, "FIRSTCOME_REDIS_ADDRS"), "FIRSTCOME_DATABASE_DSN=sqlite:" + filepath.Join(t.TempDir(), "ledger.db"),
		"FIRSTCOME_KAFKA_PARTITIONS=2",
	}
	cluster, err := servers.NewKafkaCluster(filepath.Join(t.TempDir(), "kafka"), 3, servers.KafkaOptions{})
	if errors.Is(err, servers.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	starts := make([]error, len(cluster))
	var all sync.WaitGroup
	for i, s := range cluster {
		all.Go(func() { starts[i] = s.Start(t.Context()) })
		t.Cleanup(func() { require.NoError(t, s.Close()) })
	}
	all.Wait()
	require.NoError(t, errors.Join(starts...))
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster[0].Addr()))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	env = append(env, "FIRSTCOME_KAFKA_BROKERS="+cluster[0].Addr())

	made := stack.Bare(t, append(env, "FIRSTCOME_KAFKA_REPLICATION=3", "FIRSTCOME_KAFKA_TOPIC=made")...)
	made.Run(t, "batch", "migrate")
	found, status := doctor(t, made)
	require.Equal(t, finds{}, found, "what batch migrate makes")
	require.Equal(t, 0, status)

	good := map[string]string{"min.insync.replicas": "2", "retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
	for name, c := range map[string]struct {
		partitions int32
		copies     int16
		change     map[string]string
		want       finds
	}{
		"one-copy":   {2, 1, map[string]string{"min.insync.replicas": "1"}, finds{"kafka_replication": breaks}},
		"one-ack":    {2, 3, map[string]string{"min.insync.replicas": "1"}, finds{"kafka_min_insync": breaks}},
		"more":       {3, 3, nil, finds{"kafka_partitions": breaks}},
		"unclean":    {2, 3, map[string]string{"unclean.leader.election.enable": "true"}, finds{"kafka_unclean_election": breaks}},
		"compact":    {2, 3, map[string]string{"cleanup.policy": "compact"}, finds{"kafka_cleanup": breaks}},
		"an-hour":    {2, 3, map[string]string{"retention.ms": "3600000"}, finds{"kafka_retention": breaks}},
		"a-month":    {2, 3, map[string]string{"retention.ms": "2592000000"}, finds{"kafka_retention": risky}},
		"a-gigabyte": {2, 3, map[string]string{"retention.bytes": "1073741824"}, finds{"kafka_retention": breaks}},
		"small":      {2, 3, map[string]string{"max.message.bytes": "100000"}, finds{"kafka_message_size": risky}},
	} {
		config := map[string]*string{}
		for _, set := range []map[string]string{good, c.change} {
			for key, value := range set {
				config[key] = &value
			}
		}
		_, err = admin.CreateTopic(t.Context(), c.partitions, c.copies, config, name)
		require.NoError(t, err)
		s := stack.Bare(t, append(env, "FIRSTCOME_KAFKA_TOPIC="+name)...)
		for range 10 { // a new topic is known to every broker after a moment
			if found, _ = doctor(t, s); found["kafka_partitions"] != unknown {
				break
			}
		}
		assert.Equal(t, c.want, found, name)
	}
}

func TestTheEmbeddedStackHasNothingToReport(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Embedded, stack.Options{})
	assert.NotContains(t, s.Procs[0].Log(), "risky")
	assert.NotContains(t, s.Procs[0].Log(), "checks.allow")
	own := s.With("FIRSTCOME_REDIS_ADDRS="+s.Redis.(*redis.Client).Options().Addr, "FIRSTCOME_KAFKA_BROKERS="+strings.Join(s.Brokers, ","),
		"FIRSTCOME_DATABASE_DSN=sqlite:"+filepath.Join(s.Dir(), "data", "ledger.db"))
	found, status := doctor(t, own)
	assert.Equal(t, finds{}, found)
	assert.Equal(t, 0, status)
}
