// Package stack starts firstcome the way an operator does, as processes on free loopback ports, and gives a test the
// addresses of all its parts.
//
// There are two kinds: Embedded is one `standalone` process on a folder of its own; Real is several roles on the
// servers that `make services` has started, with a topic, a consumer group, a database and a Redis database number of
// its own, so that it disturbs nobody.
package stack

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Kind is what the stack runs on.
type Kind string

// The two kinds.
const (
	Embedded Kind = "embedded"
	Real     Kind = "real"
)

// Options of a stack.
type Options struct {
	APIs      int      // Real only; default 2
	Consumers int      // Real only; default 2
	Env       []string // more FIRSTCOME_… settings for every process
	Bare      bool     // Real only: schema and topic, and no process yet

	// Real only: servers of the test's own (package servers) instead of those of make services. Redis and Kafka are
	// comma-separated addresses; a database of the stack's own is made on the server of DSN.
	Redis, Kafka, DSN string
}

// Stack is a running firstcome.
type Stack struct {
	Kind    Kind
	APIs    []string // base URLs
	Ops     []string // base URLs of the ops listeners, in the order of Procs
	Procs   []*Proc
	SQL     *sql.DB
	Redis   redis.UniversalClient
	Brokers []string
	Topic   string
	Group   string

	dir      string
	secret   string
	env      []string
	embedded []string // addresses of the embedded servers, for Batch
}

// Secret signs the tests' tokens; it is no secret at all.
const Secret = "end-to-end-tests-sign-with-this-0123456789"

// readyWithin bounds a start: the embedded stack needs two seconds on an idle machine, two slow cores under -race ten
// times that.
const readyWithin = 60 * time.Second

// Each runs test on every kind of stack that the environment offers. A kind that is missing is a skipped subtest with
// its reason.
func Each(t *testing.T, o Options, test func(t *testing.T, s *Stack)) {
	t.Helper()
	for _, kind := range []Kind{Embedded, Real} {
		t.Run(string(kind), func(t *testing.T) { test(t, Start(t, kind, o)) })
	}
}

// Start starts a stack and waits until it is ready. Everything is stopped and removed when the test ends.
func Start(t *testing.T, kind Kind, o Options) *Stack {
	t.Helper()
	s := &Stack{Kind: kind, dir: t.TempDir(), secret: Secret}
	s.env = append([]string{
		"FIRSTCOME_AUTH_HS256_SECRET=" + s.secret,
		"FIRSTCOME_LOG_FORMAT=text",
	}, o.Env...)
	if kind == Embedded {
		s.startEmbedded(t)
	} else {
		s.startReal(t, o)
	}
	return s
}

func (s *Stack) startEmbedded(t *testing.T) {
	data := filepath.Join(s.dir, "data")
	s.env = append(s.env, "FIRSTCOME_STANDALONE_DATA_DIR="+data)
	s.Topic, s.Group = "firstcome.issues.v1", "firstcome-issues"
	s.APIs = make([]string, 1)
	s.Launch(t, "standalone", []string{"run"})
	s.connectEmbedded(t)
}

// connectEmbedded (again) learns where the embedded servers listen: they take new ports at every start.
func (s *Stack) connectEmbedded(t *testing.T) {
	t.Helper()
	addresses := readEnv(t, filepath.Join(s.dir, "data", "embedded.env"))
	s.Brokers = strings.Split(addresses["FIRSTCOME_KAFKA_BROKERS"], ",")
	s.openSQL(t, addresses["FIRSTCOME_DATABASE_DSN"])
	s.openRedis(t, addresses["FIRSTCOME_REDIS_ADDRS"], 0)
	s.embedded = nil
	for name, value := range addresses {
		s.embedded = append(s.embedded, name+"="+value)
	}
}

// Restart kills the embedded stack (or ends it gently) and starts it again on the same folder.
func (s *Stack) Restart(t *testing.T, gently bool) {
	t.Helper()
	require.Equal(t, Embedded, s.Kind, "only the embedded stack restarts whole")
	old := s.Procs[0]
	if gently {
		old.Stop(t)
	} else {
		old.Kill(t)
	}
	s.launchAgain(t, "")
	s.connectEmbedded(t)
}

// RestartDoomed is Restart, gently, into a process that dies at a crash point, perhaps before it is ready.
func (s *Stack) RestartDoomed(t *testing.T, point string) *Proc {
	t.Helper()
	require.Equal(t, Embedded, s.Kind, "only the embedded stack restarts whole")
	s.Procs[0].Stop(t)
	p := s.launchAgain(t, point)
	if !p.Ended() {
		s.connectEmbedded(t)
	}
	return p
}

func (s *Stack) launchAgain(t *testing.T, point string) *Proc {
	t.Helper()
	_, _ = s.SQL.Close(), s.Redis.Close() // closed already where the start before this one died early
	s.Procs, s.Ops = nil, nil
	if point == "" {
		return s.Launch(t, "standalone", []string{"run"})
	}
	p := s.Doomed(t, "standalone", []string{"run"}, point)
	s.Procs, s.Ops = append(s.Procs, p), append(s.Ops, p.Ops)
	s.setAPI(p.HTTP)
	return p
}

func (s *Stack) startReal(t *testing.T, o Options) {
	redisAddrs, kafka, server := orEnv(t, o.Redis, "FIRSTCOME_REDIS_ADDRS"), orEnv(t, o.Kafka, "FIRSTCOME_KAFKA_BROKERS"),
		orEnv(t, o.DSN, "FIRSTCOME_DATABASE_DSN")
	id := fmt.Sprintf("e2e-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	s.Topic, s.Group = "firstcome."+id, "firstcome-"+id
	s.Brokers = strings.Split(kafka, ",")
	dsn := createDatabase(t, server, "firstcome_"+strings.ReplaceAll(id, "-", "_"))
	redisDB := 0
	if o.Redis == "" {
		redisDB = takeRedisDB(t)
	}
	s.env = append(s.env,
		"FIRSTCOME_REDIS_ADDRS="+redisAddrs, "FIRSTCOME_KAFKA_BROKERS="+kafka,
		"FIRSTCOME_KAFKA_TOPIC="+s.Topic, "FIRSTCOME_KAFKA_GROUP="+s.Group,
		"FIRSTCOME_DATABASE_DSN="+dsn, fmt.Sprintf("FIRSTCOME_REDIS_DB=%d", redisDB))
	s.openSQL(t, dsn)
	s.openRedis(t, redisAddrs, redisDB)
	s.Run(t, "batch", "migrate")
	t.Cleanup(func() { deleteTopic(t, s.Brokers, s.Topic) })
	if o.Bare {
		return
	}
	for range max(o.APIs, 2) {
		s.APIs = append(s.APIs, "")
		s.Launch(t, "api", nil)
	}
	for range max(o.Consumers, 2) {
		s.Launch(t, "consumer", nil)
	}
	s.Launch(t, "batch", []string{"serve"})
}

// orEnv is own, or what make test-real says of the shared servers; without either the test is skipped.
func orEnv(t *testing.T, own, name string) string {
	t.Helper()
	if own == "" {
		own = os.Getenv(name)
	}
	if own == "" {
		t.Skipf("no real servers: %s is not set (make test-real sets it)", name)
	}
	return own
}

func (s *Stack) openSQL(t *testing.T, dsn string) {
	t.Helper()
	driver, name := "mysql", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, name = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	} else if !strings.Contains(dsn, "parseTime") {
		name = withParam(dsn, "parseTime=true")
	}
	db, err := sql.Open(driver, name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() }) // a second close after Restart is no failure
	require.NoError(t, db.PingContext(t.Context()))
	s.SQL = db
}

func (s *Stack) openRedis(t *testing.T, addrs string, db int) {
	t.Helper()
	s.Redis = redis.NewUniversalClient(&redis.UniversalOptions{Addrs: strings.Split(addrs, ","), DB: db})
	client := s.Redis
	t.Cleanup(func() { _ = client.Close() }) // a second close after Restart is no failure
	// Not asked whether it is there: a stack that is to die at a crash point may be gone already.
}

func readEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // a file of the test's own folder
	require.NoError(t, err)
	found := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			found[name] = value
		}
	}
	return found
}
