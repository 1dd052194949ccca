package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/config"
)

const secret = "0123456789abcdef0123456789abcdef"

// needed is what an api cannot start without.
func needed(more ...string) []string {
	return append([]string{
		"FIRSTCOME_DATABASE_DSN=root:hunter2@tcp(127.0.0.1:3306)/firstcome",
		"FIRSTCOME_AUTH_HS256_SECRET=" + secret,
	}, more...)
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "role.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) //nolint:gosec // the test's own folder
	return path
}

func TestTheEnvironmentGoesOverTheFileAndTheFileOverTheDefaults(t *testing.T) {
	t.Parallel()
	path := file(t, "http:\n  addr: 0.0.0.0:9000\n  user_rate: 2.5\nkafka:\n  brokers: [a:1, 'b:2']\n  partitions: 3\nadmission:\n")
	c, err := config.Load(config.API, config.LoadOptions{Path: path, Env: needed(
		"FIRSTCOME_HTTP_ADDR=127.0.0.1:0", "FIRSTCOME_REDIS_MODE=cluster", "FIRSTCOME_REDIS_ADDRS=x:1, y:2",
		"FIRSTCOME_ADMISSION_MEMORY_TTL=750ms", "FIRSTCOME_KAFKA_GROUP=", "HOME=/root",
	)})
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:0", c.HTTP.Addr)
	assert.InDelta(t, 2.5, c.HTTP.UserRate, 0)
	assert.Equal(t, []string{"a:1", "b:2"}, c.Kafka.Brokers)
	assert.Equal(t, 3, c.Kafka.Partitions)
	assert.Equal(t, []string{"x:1", "y:2"}, c.Redis.Addrs)
	assert.Equal(t, 750*time.Millisecond, c.Admission.MemoryTTL)
	assert.Equal(t, 2*time.Second, c.Admission.AnswerTimeout, "a section without values keeps its defaults")
	assert.Equal(t, "firstcome-issues", c.Kafka.Group, "an empty variable is none")

	from, given := c.Given("http.addr")
	assert.True(t, given)
	assert.Equal(t, "FIRSTCOME_HTTP_ADDR", from)
	from, given = c.Given("kafka.partitions")
	assert.True(t, given)
	assert.Equal(t, path, from)
	_, given = c.Given("log.level")
	assert.False(t, given)
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	path := file(t, "htpp:\n  addr: x\nhttp:\n  read_timout: 5s\n  idle_timeout: 5\n  addr: 8080\nredis: 7\nadmission:\n  queue: 1.5\n  batch: {a: 1}\nlog:\n  level: loud\n")
	_, err := config.Load(config.API, config.LoadOptions{Path: path, Env: needed(
		"FIRSTCOME_REDIS_ADRS=a:1", "FIRSTCOME_KAFKA_PARTITIONS=0", "FIRSTCOME_KAFKA_BROKERS=a:1,,b:1",
		"FIRSTCOME_KAFKA_TOPIC=no topic", "FIRSTCOME_AUTH_JWKS_URL=keys", "FIRSTCOME_SWEEPER_AGE=soon",
		"FIRSTCOME_REDIS_MODE=sentinel", "FIRSTCOME_HTTP_WRITE_TIMEOUT=1s",
	)})
	var problems *config.Error
	require.ErrorAs(t, err, &problems)
	said := map[string]string{}
	for _, p := range problems.Problems {
		said[p.Key] = p.Detail
	}
	for key, want := range map[string]string{
		"htpp.addr":            `did you mean http.addr\?`,
		"http.read_timout":     `is no key \(in .*role.yaml\); did you mean http.read_timeout\?`,
		"http.idle_timeout":    `"5" is no duration; allowed: 1s to 1h, with a unit, such as 500ms or 2s \(from .*role.yaml\)`,
		"http.addr":            `"8080" is no address; allowed: host:port`,
		"redis":                `is a section \(in .*\); its keys are redis.mode, redis.addrs`,
		"admission.queue":      `"1.5" is no whole number; allowed: 1 to 1000000`,
		"admission.batch":      `must be a single value`,
		"log.level":            `"loud" is not allowed; allowed: debug, info, warn, error`,
		"FIRSTCOME_REDIS_ADRS": `did you mean FIRSTCOME_REDIS_ADDRS\?`,
		"kafka.partitions":     `0 is out of range; allowed: 1 to 1000 \(from FIRSTCOME_KAFKA_PARTITIONS\)`,
		"kafka.brokers":        `has an empty entry`,
		"kafka.topic":          `"no topic" is no Kafka name`,
		"auth.jwks_url":        `allowed: https://`,
		"sweeper.age":          `"soon" is no duration`,
		"redis.master_name":    `is missing; redis.mode sentinel needs`,
		"http.write_timeout":   `1s is below admission.answer_timeout \(2s\); .* \(from FIRSTCOME_HTTP_WRITE_TIMEOUT\)$`,
	} {
		assert.Regexp(t, regexp.MustCompile(want), said[key], key)
		assert.Contains(t, err.Error(), "\n  "+key+": ")
	}
	assert.Len(t, said, 16, "%v", err)
}

func TestEachRoleNeedsItsOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		role config.Role
		env  []string
		want []string // parts of the message; none: it loads
	}{
		{"api without anything", config.API, []string{}, []string{"database.dsn: is missing", "auth.hs256_secret: is missing"}},
		{"api", config.API, needed(), nil},
		{"a database without a name", config.Consumer, []string{"FIRSTCOME_DATABASE_DSN=root:hunter2@tcp(127.0.0.1:3306)"},
			[]string{"database.dsn: names no database"}},
		{"a database with an empty name", config.Batch, []string{"FIRSTCOME_DATABASE_DSN=root:hun/ter2@tcp(127.0.0.1:3306)/?tls=true"},
			[]string{"database.dsn: names no database"}},
		{"a database by URL, among other mistakes", config.API, []string{"FIRSTCOME_DATABASE_DSN=mysql://root@127.0.0.1/firstcome", "FIRSTCOME_AUTH_HS256_SECRET=short"},
			[]string{"database.dsn: names no database", "auth.hs256_secret: has 5 bytes"}},
		{"a database on a socket", config.Consumer, []string{"FIRSTCOME_DATABASE_DSN=u:p/w?@unix(/tmp/my.sock)/firstcome?tls=true"}, nil},
		{"consumer without a database", config.Consumer, []string{}, []string{"database.dsn: is missing"}},
		{"consumer needs no key and no Redis", config.Consumer, []string{"FIRSTCOME_DATABASE_DSN=sqlite:x", "FIRSTCOME_REDIS_MODE=sentinel"}, nil},
		{"batch needs no key", config.Batch, []string{"FIRSTCOME_DATABASE_DSN=sqlite:x"}, nil},
		{"standalone needs nothing", config.Standalone, []string{}, nil},
		{"short secret", config.Standalone, []string{"FIRSTCOME_AUTH_HS256_SECRET=tooshort"}, []string{"has 8 bytes; allowed: at least 32", "(from FIRSTCOME_AUTH_HS256_SECRET)"}},
		{"an address of Redis", config.API, needed("FIRSTCOME_REDIS_ADDRS=a"), []string{"such as 127.0.0.1:6379 (from FIRSTCOME_REDIS_ADDRS)"}},
		{"an address of Kafka", config.Consumer, needed("FIRSTCOME_KAFKA_BROKERS=a"), []string{"such as 127.0.0.1:9092 ("}},
		{"an address of a role's own", config.Batch, needed("FIRSTCOME_OPS_ADDR=a"), []string{"such as 127.0.0.1:9082 ("}},
		{"two keys", config.API, needed("FIRSTCOME_AUTH_JWKS_URL=https://x/keys"), []string{"one of the two"}},
		{"sentinel without a name", config.API, needed("FIRSTCOME_REDIS_MODE=sentinel"), []string{"redis.master_name"}},
		{"two single servers", config.API, needed("FIRSTCOME_REDIS_ADDRS=a:1,b:1"), []string{"redis.mode single takes one"}},
		{"database of a cluster", config.Batch, needed("FIRSTCOME_REDIS_MODE=cluster", "FIRSTCOME_REDIS_DB=1"), []string{"a cluster has only 0"}},
		{
			"timeouts that do not fit", config.API, needed("FIRSTCOME_ADMISSION_ANSWER_TIMEOUT=20s"),
			[]string{"http.write_timeout: 10s is below admission.answer_timeout (20s)", "http.shutdown_timeout", "sweeper.age"},
		},
		{"variables of scripts and tests", config.API, needed("FIRSTCOME_API_ADDRS=a", "FIRSTCOME_OPS_ADDRS=b", "FIRSTCOME_TEST_MYSQL_DSN=c"), nil},
		{"a variable of another role", config.Consumer, needed("FIRSTCOME_HTTP_ADDR=127.0.0.1:1"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(c.role, config.LoadOptions{Env: c.env})
			if c.want == nil {
				require.NoError(t, err)
			}
			for _, part := range c.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestAFileThatWasNamedMustBeThereAndBeYAML(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Standalone, config.LoadOptions{Path: filepath.Join(t.TempDir(), "none.yaml"), Env: []string{}})
	require.ErrorContains(t, err, "none.yaml: cannot be read")
	_, err = config.Load(config.Standalone, config.LoadOptions{Path: t.TempDir(), Env: []string{}})
	require.ErrorContains(t, err, "must be a YAML file")
	_, err = config.Load(config.Standalone, config.LoadOptions{Path: file(t, "http: [\n"), Env: []string{}})
	require.ErrorContains(t, err, "is no YAML")
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	env := needed("FIRSTCOME_REDIS_PASSWORD=hunter3")
	c, err := config.Load(config.API, config.LoadOptions{Env: env})
	require.NoError(t, err)
	assert.Equal(t, "hunter3", c.Redis.Password.Reveal())

	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "redis", c.Redis)
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	_, errTwo := config.Load(config.API, config.LoadOptions{Env: append(env, "FIRSTCOME_AUTH_JWKS_URL=https://u:hunter4@x/k", "FIRSTCOME_LOG_LEVEL=x")})
	require.Error(t, errTwo)
	for _, printed := range []string{
		c.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%v %+v %#v", c.Redis, c.Auth, c.Database),
		log.String(), string(asJSON), errTwo.Error(),
	} {
		assert.NotContains(t, printed, "hunter")
		assert.NotContains(t, printed, secret)
	}
	assert.Contains(t, c.String(), "redis.password: [set]")
	assert.Contains(t, c.String(), "http.addr: 127.0.0.1:8080")
}

// The shipped files show every default in a commented line: with the comments taken away they must load to just that.
func TestTheShippedFilesShowTheDefaults(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^  # ([a-z_0-9]+: )`)
	for _, role := range []config.Role{config.API, config.Consumer, config.Batch, config.Standalone} {
		shipped := filepath.Join("..", "..", "..", "configs", string(role)+".yaml")
		text, err := os.ReadFile(shipped)
		require.NoError(t, err)
		env := []string{"FIRSTCOME_DATABASE_DSN=sqlite:x", "FIRSTCOME_AUTH_HS256_SECRET=" + secret}

		commented, err := config.Load(role, config.LoadOptions{Path: shipped, Env: env})
		require.NoError(t, err)
		uncommented := line.ReplaceAllString(strings.ReplaceAll(string(text), `: ""`, `: `), "  $1")
		uncommented = regexp.MustCompile(`(?m)^  (dsn|hs256_secret|jwks_url|master_name|username|password): .*\n`).ReplaceAllString(uncommented, "")
		full, err := config.Load(role, config.LoadOptions{Path: file(t, uncommented), Env: env})
		require.NoError(t, err)

		assert.Equal(t, commented.String(), full.String())
		_, given := full.Given("log.level")
		assert.True(t, given, "the lines were uncommented")
		defaults := config.Default(role)
		defaults.Database.DSN, defaults.Auth.HS256Secret = "sqlite:x", secret
		assert.Equal(t, defaults.String(), full.String())
	}
}

func TestTheHelpNamesWhatARoleReadsAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	api := config.Help(config.API)
	assert.Regexp(t, `(?m)^  database.dsn +- +user:password@tcp\(host:3306\)/name, sqlite:PATH$`, api)
	assert.Regexp(t, `(?m)^  auth.hs256_secret +- +at least 32 bytes$`, api)
	assert.Contains(t, api, "  kafka.brokers ")
	standalone := config.Help(config.Standalone)
	assert.Contains(t, standalone, "  kafka.partitions ")
	for _, key := range config.OfEmbeddedServers() {
		assert.NotContains(t, standalone, "  "+key+" ", "standalone leaves it out")
	}
}

// Whatever stands in the environment, Load neither panics nor lets a value out of its range through; and what it lets
// through, it reads the same again.
func FuzzLoad(f *testing.F) {
	f.Add("FIRSTCOME_HTTP_ADDR", "127.0.0.1:1", "http:\n  addr: a:1\n")
	f.Add("FIRSTCOME_ADMISSION_QUEUE", "9223372036854775808", "")
	f.Add("FIRSTCOME_HTTP_USER_RATE", "NaN", "kafka: {brokers: [[1]]}\n")
	f.Add("FIRSTCOME_REDIS_REPLICA_MAX_LAG", "-1s", "log: [a, b]\n")
	f.Add("FIRSTCOME_", "\x00", "? {a: b}\n: c\n")
	f.Add("FIRSTCOME_KAFKA_BROKERS", ",", "redis: {password: {a: hunter}}\n")
	f.Fuzz(func(t *testing.T, name, value, text string) {
		opts := config.LoadOptions{Path: file(t, text), Env: []string{name + "=" + value}}
		c, err := config.Load(config.Standalone, opts)
		if err != nil {
			var problems *config.Error
			require.ErrorAs(t, err, &problems)
			require.NotEmpty(t, problems.Problems)
			return
		}
		assert.GreaterOrEqual(t, c.Admission.Queue, 1)
		assert.LessOrEqual(t, c.HTTP.UserRate, 100000.0)
		assert.GreaterOrEqual(t, c.Redis.ReplicaMaxLag, time.Duration(0))
		again, err := config.Load(config.Standalone, opts)
		require.NoError(t, err)
		assert.Equal(t, c.String(), again.String())
	})
}

// Random letters in names that nearly exist: never a panic, always a refusal with the name in it.
func TestMisspeltVariablesAreRefused(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		name := []byte("FIRSTCOME_ADMISSION_MEMORY_TTL")
		name[10+random.IntN(len(name)-10)] = byte('A' + random.IntN(26))
		_, err := config.Load(config.Standalone, config.LoadOptions{Env: []string{string(name) + "=1s"}})
		if string(name) == "FIRSTCOME_ADMISSION_MEMORY_TTL" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, string(name)+": is no variable of firstcome; did you mean FIRSTCOME_ADMISSION_MEMORY_TTL?")
	}
}
