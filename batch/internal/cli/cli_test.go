package cli_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/batch/internal/cli"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/support/doctor"
)

// go-metrics, which Sarama counts with, keeps one ticker for the life of the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const topic = "issues"

// servers are embedded ones, and a batch that is pointed at them.
type servers struct {
	redis *embedded.Server
	kafka *kfake.Cluster
	dsn   string
	env   []string
}

func newServers(t *testing.T) *servers {
	t.Helper()
	redis, err := embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(redis.Close)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	s := &servers{redis: redis, kafka: kafka, dsn: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")}
	s.env = []string{
		"FIRSTCOME_DATABASE_DSN=" + s.dsn, "FIRSTCOME_REDIS_ADDRS=" + redis.Addr(),
		"FIRSTCOME_KAFKA_BROKERS=" + strings.Join(kafka.ListenAddrs(), ","), "FIRSTCOME_KAFKA_TOPIC=" + topic,
		"FIRSTCOME_KAFKA_PARTITIONS=2", "FIRSTCOME_ADMISSION_MEMORY_TTL=20ms", "FIRSTCOME_OPS_ADDR=127.0.0.1:0",
		"FIRSTCOME_BATCH_REBUILD_EVERY=100ms", "FIRSTCOME_BATCH_RETRY_EVERY=100ms", "FIRSTCOME_LOG_LEVEL=debug",
	}
	return s
}

// run runs a batch command to its end.
func (s *servers) run(t *testing.T, env []string, args ...string) (status int, out, errOut string) {
	t.Helper()
	return s.runUntil(t.Context(), env, args...)
}

func (s *servers) runUntil(ctx context.Context, env []string, args ...string) (status int, out, errOut string) {
	var o, e strings.Builder
	status = cli.Run(ctx, args, cli.Process{Out: &o, Err: &e, Env: append(append([]string{}, s.env...), env...)})
	return status, o.String(), e.String()
}

// works runs a command that must do what it is told.
func (s *servers) works(t *testing.T, args ...string) (out string) {
	t.Helper()
	status, out, errOut := s.run(t, nil, args...)
	require.Equal(t, cli.ExitOK, status, "%s%s", out, errOut)
	return out
}

// roles are the parts of the other roles that the tests need.
type roles struct {
	book      *ledger.Book
	gate      *redisgate.Gate
	desk      *admission.Desk
	publisher *publish.Publisher
}

func newRoles(t *testing.T, s *servers) *roles {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r := &roles{}
	var err error
	r.book, err = ledger.Open(t.Context(), ledger.Config{DSN: s.dsn})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.book.Close()) })
	r.gate, err = redisgate.Open(t.Context(), redisgate.Config{Addrs: []string{s.redis.Addr()}}, log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.gate.Close()) })
	kafka, err := kafkajournal.Open(kafkajournal.Config{Brokers: s.kafka.ListenAddrs(), Topic: topic}, log, prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kafka.Close(context.Background())) })
	refs := ledger.NewRefs(r.book, 0)
	unsound := func(coupon.UnsoundError) {}
	r.desk = admission.NewDesk(admission.DeskDeps{
		Gate: r.gate, Journal: kafka, Refs: refs, OnUnsound: unsound, Log: log, Registerer: prometheus.NewRegistry(),
	})
	t.Cleanup(func() { require.NoError(t, r.desk.Close(context.Background())) })
	r.publisher = publish.New(publish.Deps{Book: r.book, Gate: r.gate, Refs: refs, OnUnsound: unsound, Log: log})
	return r
}

// coupon publishes one.
func (r *roles) coupon(t *testing.T, total int64) coupon.Coupon {
	t.Helper()
	now := time.Now().UTC()
	require.NoError(t, r.book.CreateVendor(t.Context(), 1, "vendor"))
	made := r.publisher.Coupons(t.Context(), []coupon.Coupon{{
		VendorID: 1, Name: "coupon", Kind: coupon.FirstComeIssue, PerUserLimit: 1,
		Terms: coupon.Terms{Total: &total, State: coupon.StateOpen, OpensAt: now.Add(-time.Hour), ClosesAt: now.Add(time.Hour)},
	}})
	require.NoError(t, made[0].Err)
	return made[0].Coupon
}

func (r *roles) claim(t *testing.T, id int64, user string) admission.Outcome {
	t.Helper()
	o, err := r.desk.Claim(t.Context(), id, user, "")
	require.NoError(t, err)
	return o
}

func TestMigrateMakesSchemaAndTopicAndIsSafeToRepeat(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	status, _, errOut := s.run(t, nil, "rebuild", "--all")
	assert.Equal(t, cli.ExitFailed, status)
	assert.Contains(t, errOut, "run `batch migrate`")

	assert.Regexp(t, `^migrate: schema at version \d+ \(was 0\); topic issues with 2 partitions\n$`, s.works(t, "migrate"))
	assert.Regexp(t, `^migrate: schema at version \d+ already; topic issues with 2 partitions\n$`, s.works(t, "migrate"))

	status, out, errOut := s.run(t, []string{"FIRSTCOME_KAFKA_PARTITIONS=5"}, "migrate")
	assert.Equal(t, cli.ExitFailed, status)
	assert.Contains(t, out, "schema at version")
	assert.Contains(t, errOut, "kafka.partitions")

	status, _, errOut = s.run(t, []string{"FIRSTCOME_KAFKA_TOPIC=another"}, "retry")
	assert.Equal(t, cli.ExitFailed, status)
	assert.Contains(t, errOut, "batch migrate")
}

func TestACouponThatIsNotThereIsNoBlindness(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.works(t, "migrate")
	status, out, errOut := s.run(t, nil, "verify", "--coupon", "12", "--settle", "0s")
	assert.Equal(t, cli.ExitUsage, status)
	assert.Equal(t, "batch: there is no coupon 12\n", errOut)
	assert.Empty(t, out)
}

func TestALostGateIsRebuiltWithTheSameNumbers(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.works(t, "migrate")
	r := newRoles(t, s)
	c := r.coupon(t, 2)
	first, second := r.claim(t, c.ID, "alice"), r.claim(t, c.ID, "bob")
	assert.Equal(t, "rebuild: all gates of 1 coupons are sound, nothing to do\n", s.works(t, "rebuild", "--all"))

	s.redis.Raw().FlushAll()
	_, err := r.desk.Claim(t.Context(), c.ID, "alice", "")
	require.ErrorIs(t, err, coupon.ErrUnsound)
	assert.Regexp(t, `^rebuild: 1 opened with 2 holders in \d`, s.works(t, "rebuild", "--all"))

	assert.Equal(t, first.Seq, r.claim(t, c.ID, "alice").Seq)
	assert.Equal(t, second.Seq, r.claim(t, c.ID, "bob").Seq)
	assert.Equal(t, coupon.SoldOut, r.claim(t, c.ID, "carol").Verdict)

	tag := c.Tag()
	assert.Contains(t, s.works(t, "rebuild", "--tag", tag), "nothing to do")
	assert.Contains(t, s.works(t, "rebuild", "--tag", tag, "--force"), "1 opened with 2 holders")
	assert.Equal(t, first.Seq, r.claim(t, c.ID, "alice").Seq)
	status, _, errOut := s.run(t, nil, "rebuild", "--tag", "c12")
	assert.Equal(t, cli.ExitFailed, status)
	assert.Contains(t, errOut, "no coupon on sale has the tag c12")
}

func TestAFailedEventGoesThroughTheGateAndABrokenOneIsQuarantined(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.works(t, "migrate")
	r := newRoles(t, s)
	c := r.coupon(t, 10)
	place := coupon.Place{CouponID: c.ID, UserID: "alice", Nth: 1, Seq: 7, Epoch: 9, AcceptedAt: time.Now().UTC()}
	writer := ledger.NewWriter(r.book, ledger.WriterOptions{Topic: topic, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(t, writer.Write(t.Context(), []ledger.Record{
		{Offset: 0, Payload: journal.Encode(nil, place), Place: place}, // of an epoch that never was
		{Offset: 1, Payload: []byte("not ours"), Broken: journal.ErrUnknownVersion, Reason: coupon.FailUndecodable},
	}))
	assert.Equal(t, "retry: 0 due: 0 replayed, 0 postponed, 0 quarantined, 0 waiting for their gates\n", s.works(t, "retry"))

	failed, err := r.book.FailedEvents(t.Context(), 0, 10, "", "")
	require.NoError(t, err)
	require.Len(t, failed, 2)
	for _, f := range failed {
		require.NoError(t, r.book.RequeueFailed(t.Context(), f.ID)) // due now
	}
	assert.Equal(t, "retry: 2 due: 1 replayed, 0 postponed, 1 quarantined, 0 waiting for their gates\n", s.works(t, "retry"))
	assert.Equal(t, int64(1), r.claim(t, c.ID, "alice").Seq, "a place of the gate's own")
	assert.True(t, r.claim(t, c.ID, "alice").Again)
}

func TestServeDoesTheJobsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.works(t, "migrate")
	r := newRoles(t, s)
	c := r.coupon(t, 5)
	before := r.claim(t, c.ID, "alice")

	ctx, cancel := context.WithCancel(t.Context())
	type end struct {
		status      int
		out, errOut string
	}
	ended := make(chan end, 1)
	go func() {
		status, out, errOut := s.runUntil(ctx, nil, "serve")
		ended <- end{status, out, errOut}
	}()
	s.redis.Raw().FlushAll()
	require.Eventually(t, func() bool {
		o, err := r.desk.Claim(t.Context(), c.ID, "alice", "")
		return err == nil && o.Seq == before.Seq
	}, 20*time.Second, 20*time.Millisecond, "the schedule brings the gate back")
	cancel()
	e := <-ended
	assert.Equal(t, cli.ExitOK, e.status, e.errOut)
	assert.Equal(t, "serve: stopped\n", e.out)
}

func TestWhatCannotBeUsedHasStatusTwoAndAHelp(t *testing.T) {
	t.Parallel()
	s := &servers{env: []string{"FIRSTCOME_DATABASE_DSN=sqlite:x"}}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "say what to do: migrate, doctor, retry, rebuild, verify, republish, reconcile or serve"},
		{[]string{"verify", "--settle", "2h"}, "--settle must be from 0s to 1h"},
		{[]string{"reconcile", "--settle", "-1s"}, "--settle must be from 0s to 1h"},
		{[]string{"nothing"}, `batch: unknown command "nothing"`},
		{[]string{"--nothing"}, "batch: unknown flag: --nothing; see batch --help\n"},
		{[]string{"retry", "--nothing"}, "batch: unknown flag: --nothing; see batch retry --help\n"},
		{[]string{"rebuild"}, "--tag (several times) or --all"},
		{[]string{"rebuild", "--all", "--tag", "c1"}, "--tag (several times) or --all"},
		{[]string{"retry", "--limit", "x"}, "--limit"},
		{[]string{"retry", "--limit", "10001"}, "--limit must be from 1 to 10000"},
		{[]string{"migrate", "now"}, "unknown command"},
		{[]string{"migrate", "--config", "nowhere.yaml"}, "nowhere.yaml: cannot be read"},
	} {
		status, out, errOut := s.run(t, nil, c.args...)
		assert.Equal(t, cli.ExitUsage, status, "%v: %s", c.args, errOut)
		assert.Contains(t, errOut, c.want, "%v", c.args)
		assert.LessOrEqual(t, strings.Count(out+errOut, "\n"), 2, "%v: no page of help around what matters", c.args)
		assert.True(t, strings.HasPrefix(errOut, "batch"), "%v: it says who speaks: %s", c.args, errOut)
	}
	status, _, errOut := (&servers{env: []string{"FIRSTCOME_KAFKA_PARTITIONS=" + strconv.Itoa(1<<20)}}).run(t, nil, "migrate")
	assert.Equal(t, cli.ExitUsage, status)
	assert.Contains(t, errOut, "database.dsn")
}

func TestTheDoctorSaysOnceThatAServerIsAway(t *testing.T) {
	t.Parallel()
	s := &servers{env: []string{
		"FIRSTCOME_DATABASE_DSN=root:password@tcp(127.0.0.1:1)/firstcome", "FIRSTCOME_REDIS_ADDRS=127.0.0.1:1", "FIRSTCOME_KAFKA_BROKERS=127.0.0.1:1",
	}}
	status, out, errOut := s.run(t, nil, "doctor")
	assert.Equal(t, cli.ExitBlind, status, errOut)
	for _, failure := range []string{"redis at 127.0.0.1:1 refused the connection", "kafka at 127.0.0.1:1 refused the connection", "nothing listens at 127.0.0.1:1"} {
		assert.Equal(t, 1, strings.Count(out, "not looked at: "+failure), out)
		assert.Equal(t, 1, strings.Count(out, failure), out)
	}
	assert.Less(t, strings.Count(out, "\n"), 20, out)
	for _, name := range doctor.Names() {
		if name != "host_disk" { // of a file that is a database
			assert.Contains(t, out, name)
		}
	}

	status, out, _ = s.run(t, nil, "doctor", "--json")
	assert.Equal(t, cli.ExitBlind, status)
	var told struct{ Checks doctor.Report }
	require.NoError(t, json.Unmarshal([]byte(out), &told))
	assert.Greater(t, len(told.Checks), 25)
	for _, r := range told.Checks {
		assert.NotEmpty(t, r.Unknown+r.Is, r.Name)
		assert.NotEmpty(t, r.Want, r.Name)
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	t.Parallel()
	s := &servers{env: []string{}}
	for _, command := range []string{"migrate", "retry", "rebuild", "verify", "republish", "reconcile", "serve"} {
		status, out, _ := s.run(t, nil, command, "--help")
		assert.Equal(t, cli.ExitOK, status)
		assert.Contains(t, out, "Examples:\n", command)
		assert.Contains(t, out, "batch "+command, command)
	}
	status, out, _ := s.run(t, nil, "--help")
	assert.Equal(t, cli.ExitOK, status)
	for _, part := range []string{"Status: 0 done", "kafka.partitions", "1 to 1000", "migrate ", "rebuild ", "*  batch reconcile\n"} {
		assert.Contains(t, out, part)
	}
}
