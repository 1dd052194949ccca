package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/gofrs/flock"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
	"github.com/firstcome/firstcome/core/audit"
	"github.com/firstcome/firstcome/core/ledger/ledgertest"
)

// world is three books that agree, written by statements of the test's own, so that one of them can be spoiled. Only the
// schema is the product's.
type world struct {
	t      tester
	cfg    audit.Config
	db     *sql.DB
	redis  redis.UniversalClient
	shared bool // others use this Redis too: nothing of theirs may go
	kafka  sarama.Client
	out    sarama.SyncProducer

	coupons []*coupon
	all     []*coupon // those of before, too
	ids     int64
}

// tester is what testing and rapid have in common.
type tester interface {
	require.TestingT
	Helper()
	Name() string
}

const partitions = 3

// coupon is one coupon of the world.
type coupon struct {
	id       int64
	event    int64 // 0: none
	limit    int
	total    int64 // 0: unlimited
	epoch    int64
	lastSeq  int64
	admitted int64
	pendingN int64
	opens    time.Time
	closes   time.Time
	siblings []*coupon // events: all coupons of it
	members  map[string]int64
	places   []place
}

type place struct {
	user string
	nth  int
	key  string
	seq  int64
	at   time.Time
}

func (c *coupon) tag() string {
	if c.event != 0 {
		return fmt.Sprintf("e%d", c.event)
	}
	return fmt.Sprintf("c%d", c.id)
}

func (c *coupon) key(what string) string { return fmt.Sprintf("fc:{%s}:%s:%d", c.tag(), what, c.id) }
func (c *coupon) gate() string           { return "fc:{" + c.tag() + "}:gate" }

func (c *coupon) field(p place) string {
	if c.limit == 1 {
		return p.user
	}
	return fmt.Sprintf("%s\x1f%d", p.user, p.nth)
}

// newWorld makes three empty books: embedded ones, or real ones where the environment names them and servers is set.
func newWorld(t testing.TB, servers bool, dsnEnv string) *world {
	t.Helper()
	if !servers {
		mini, err := embedded.Start("127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(mini.Close)
		return newWorldOn(t, ledgertest.SQLiteDSN(t), fakeKafka(t), audit.Redis{Mode: "single", Addrs: []string{mini.Addr()}})
	}
	dsn := ledgertest.FreshDSN(t, ledgertest.ServerDSN(t, dsnEnv))
	addr := server(t, "FIRSTCOME_TEST_REDIS_ADDR")
	brokers := strings.Split(server(t, "FIRSTCOME_TEST_KAFKA_BROKERS"), ",")
	return newWorldOn(t, dsn, brokers, audit.Redis{Mode: "single", Addrs: []string{addr}, DB: takeRedisDB(t)})
}

// newClusterWorld has its gates on a Redis Cluster, which others use at the same time.
func newClusterWorld(t testing.TB) *world {
	t.Helper()
	addrs := strings.Split(server(t, "FIRSTCOME_TEST_REDIS_CLUSTER_ADDRS"), ",")
	w := newWorldOn(t, ledgertest.SQLiteDSN(t), fakeKafka(t), audit.Redis{Mode: "cluster", Addrs: addrs})
	w.shared, w.ids = true, 1000+rand.Int64N(1<<50)
	t.Cleanup(func() { // before the client is closed
		for _, c := range w.all {
			for _, key := range []string{c.gate(), c.key("coupon"), c.key("holders"), c.key("pending"), "fc:{" + c.tag() + "}:members"} {
				require.NoError(t, w.redis.Del(context.Background(), key).Err())
			}
		}
	})
	return w
}

func fakeKafka(t testing.TB) (brokers []string) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func newWorldOn(t testing.TB, dsn string, brokers []string, gates audit.Redis) *world {
	t.Helper()
	w := &world{t: t, ids: 1000}
	book := ledgertest.Open(t, dsn)
	require.NoError(t, book.Migrate(t.Context()))
	w.openDB(t, dsn)
	w.redis = redis.NewUniversalClient(&redis.UniversalOptions{Addrs: gates.Addrs, DB: gates.DB, IsClusterMode: gates.Mode == "cluster"})
	t.Cleanup(func() { require.NoError(t, w.redis.Close()) })
	w.cfg = audit.Config{
		DSN: dsn, Redis: gates, Dir: t.TempDir(),
		Kafka: audit.Kafka{Brokers: brokers, Topic: fmt.Sprintf("audit-%x", rand.Uint64()), Timeout: 10 * time.Second},
	}
	w.cfg.Kafka.Group = w.cfg.Kafka.Topic + "-group"
	w.openKafka(t)
	return w
}

func server(t testing.TB, env string) string {
	t.Helper()
	addr := os.Getenv(env)
	if addr == "" {
		t.Skipf("%s names no server: `make services` starts one", env)
	}
	return addr
}

// takeRedisDB takes one of Redis' databases 1 to 15 that no other test holds; those of package e2e take theirs the same way.
func takeRedisDB(t testing.TB) int {
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

// reign is that of the server which has a key.
func (w *world) reign(key string) string {
	w.t.Helper()
	var client interface {
		Info(ctx context.Context, sections ...string) *redis.StringCmd
	} = w.redis
	if cluster, ok := w.redis.(*redis.ClusterClient); ok {
		node, err := cluster.MasterForKey(context.Background(), key)
		require.NoError(w.t, err)
		client = node
	}
	id := func(section, field string) string {
		text, err := client.Info(context.Background(), section).Result()
		require.NoError(w.t, err)
		return regexp.MustCompile(field + `:(\w+)`).FindStringSubmatch(text)[1]
	}
	return id("server", "run_id") + ":" + id("replication", "master_replid")
}

func (w *world) openDB(t testing.TB, dsn string) {
	t.Helper()
	var err error
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		// Checks are off: some of what is planted no database should ever hold.
		w.db, err = sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=ignore_check_constraints(1)")
	} else {
		if strings.Contains(dsn, "?") {
			dsn += "&"
		} else {
			dsn += "?"
		}
		dsn += "time_zone=%27%2B00%3A00%27"
		w.db, err = sql.Open("mysql", dsn)
		require.NoError(t, err)
		var checks bool // MariaDB's, off in the sessions of this test alone; MySQL 8.0.15 reads past CHECKs
		if w.db.QueryRowContext(t.Context(), "SELECT @@check_constraint_checks").Scan(&checks) == nil {
			require.NoError(t, w.db.Close())
			w.db, err = sql.Open("mysql", dsn+"&check_constraint_checks=0")
		}
	}
	require.NoError(t, err)
	w.db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, w.db.Close()) })
}

func (w *world) openKafka(t testing.TB) {
	t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Metadata.AllowAutoTopicCreation = false
	var err error
	w.kafka, err = sarama.NewClient(w.cfg.Kafka.Brokers, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.kafka.Close()) })
	w.createTopic()
	t.Cleanup(w.dropTopic)
	w.out, err = sarama.NewSyncProducerFromClient(w.kafka)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.out.Close()) })
}

func (w *world) createTopic() {
	admin, err := sarama.NewClusterAdminFromClient(w.kafka)
	require.NoError(w.t, err)
	require.NoError(w.t, admin.CreateTopic(w.cfg.Kafka.Topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	for {
		require.NoError(w.t, w.kafka.RefreshMetadata(w.cfg.Kafka.Topic))
		if list, err := w.kafka.WritablePartitions(w.cfg.Kafka.Topic); err == nil && len(list) == partitions {
			return
		}
	}
}

func (w *world) dropTopic() {
	admin, err := sarama.NewClusterAdminFromClient(w.kafka)
	require.NoError(w.t, err)
	require.NoError(w.t, admin.DeleteTopic(w.cfg.Kafka.Topic))
}

// empty makes the books empty again.
func (w *world) empty(t tester) {
	w.t, w.coupons = t, nil
	// The product's triggers keep the history of changes from everybody. These books are the test's own.
	for _, trigger := range []string{"coupon_changes_kept_u", "coupon_changes_kept_d", "coupon_change_ends_kept_u", "coupon_change_ends_kept_d"} {
		w.exec("DROP TRIGGER IF EXISTS " + trigger)
	}
	for _, table := range []string{"issues", "failed_events", "coupon_changes", "coupon_change_ends", "gate_barriers", "gates", "coupons", "events", "vendors"} {
		w.exec("DELETE FROM " + table)
	}
	if !w.shared { // where it is, no coupon has the number of one before
		require.NoError(t, w.redis.FlushDB(context.Background()).Err())
	}
	w.dropTopic()
	w.cfg.Kafka.Topic = fmt.Sprintf("audit-%x", rand.Uint64())
	w.cfg.Kafka.Group = w.cfg.Kafka.Topic + "-group"
	w.createTopic()
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.ExecContext(context.Background(), query, args...)
	require.NoError(w.t, err, query)
}

func (w *world) hset(key string, values ...any) {
	w.t.Helper()
	require.NoError(w.t, w.redis.HSet(context.Background(), key, values...).Err())
}

func (w *world) id() int64 { w.ids++; return w.ids }

var now = time.Now().UTC().Truncate(time.Microsecond)

// coupon publishes one with places of some users.
func (w *world) coupon(limit int, total int64, event *coupon, users int) *coupon {
	c := &coupon{id: w.id(), limit: limit, total: total, epoch: 1, opens: now.Add(-time.Hour), closes: now.Add(time.Hour), members: map[string]int64{}}
	if event != nil {
		c.event, c.siblings, c.members, c.epoch = event.event, event.siblings, event.members, event.epoch
	}
	c.siblings = append(c.siblings, c)
	for _, s := range c.siblings {
		s.siblings = c.siblings
	}
	w.coupons, w.all = append(w.coupons, c), append(w.all, c)
	for n := range users {
		w.place(c, fmt.Sprintf("u%d-%d", c.id, n), 1)
	}
	return c
}

// inEvent publishes the first coupon of a new event.
func (w *world) inEvent(users int) *coupon {
	c := &coupon{event: w.id(), members: map[string]int64{}, epoch: 1}
	c = w.coupon(1, 0, c, users)
	return c
}

func (w *world) place(c *coupon, user string, nth int) place {
	c.lastSeq++
	p := place{user: user, nth: nth, seq: c.lastSeq, at: now.Add(time.Duration(c.lastSeq) * time.Millisecond)}
	if c.limit > 1 {
		p.key = fmt.Sprintf("key-%d", nth)
	}
	c.places = append(c.places, p)
	return p
}

// write writes all coupons and their places into the three books.
func (w *world) write() {
	w.t.Helper()
	w.exec("INSERT INTO vendors (id, name, created_at) VALUES (1, 'vendor', ?)", stamp(now))
	events := map[int64]bool{}
	for _, c := range w.coupons {
		if c.event != 0 && !events[c.event] {
			events[c.event] = true
			w.exec("INSERT INTO events (id, name, starts_at, ends_at, created_at) VALUES (?, ?, ?, ?, ?)",
				c.event, c.tag(), stamp(now), stamp(now), stamp(now))
		}
	}
	gates := map[string]bool{}
	for _, c := range w.coupons {
		if !gates[c.tag()] {
			gates[c.tag()] = true
			w.exec("INSERT INTO gates (tag, epoch, created_at, updated_at) VALUES (?, ?, ?, ?)", c.tag(), c.epoch, stamp(now), stamp(now))
			w.hset(c.gate(), "st", "open", "epoch", c.epoch, "server", w.reign(c.gate()), "token", "1-1", "generation", 1, "members_n", 0)
		}
		w.writeOne(c)
	}
	w.consume()
}

// writeOne writes a coupon whose gate is there.
func (w *world) writeOne(c *coupon) {
	w.t.Helper()
	w.exec(`INSERT INTO coupons (id, vendor_id, event_id, tag, name, kind, total_quantity, issued_count, per_user_limit, state,
		opens_at, closes_at, revision, applied_revision, created_at)
		VALUES (?, 1, ?, ?, ?, 'first_come_issue', ?, 0, ?, 'open', ?, ?, 1, 1, ?)`,
		c.id, null(c.event), c.tag(), fmt.Sprint(c.id), null(c.total), c.limit, stamp(c.opens), stamp(c.closes), stamp(now))
	w.hset(c.gate(), "coupons_n", len(c.siblings))
	limit := ""
	if c.total != 0 {
		limit = fmt.Sprint(c.total)
	}
	w.hset(c.key("coupon"), "state", "open", "opens_us", c.opens.UnixMicro(), "closes_us", c.closes.UnixMicro(), "cap", limit,
		"revision", 1, "per_user_limit", c.limit, "returned", 0, "admitted", 0, "pending_n", 0, "last_seq", c.lastSeq)
	for _, p := range c.places {
		w.holder(c, p)
		w.record(c, p, c.epoch)
		w.row(c, p)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }

func null(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// holder puts a settled place into the gate.
func (w *world) holder(c *coupon, p place) {
	value := fmt.Sprintf("%d:%d", p.seq, p.at.UnixMicro())
	if p.key != "" {
		value += ":" + p.key
	}
	w.hset(c.key("holders"), c.field(p), value)
	c.admitted++
	w.hset(c.key("coupon"), "admitted", c.admitted, "last_seq", c.lastSeq)
	if c.event != 0 && c.members[p.user] == 0 {
		c.members[p.user] = c.id
		require.NoError(w.t, w.redis.SAdd(w.ctx(), "fc:{"+c.tag()+"}:members", p.user).Err())
		w.hset(c.gate(), "members_n", len(c.members))
	}
}

func (w *world) row(c *coupon, p place) {
	var key any
	if p.key != "" {
		key = p.key
	}
	w.exec(`INSERT INTO issues (coupon_id, user_id, nth, seq, epoch, status, event_id, idempotency_key, accepted_at, issued_at)
		VALUES (?, ?, ?, ?, ?, 'issued', ?, ?, ?, ?)`, c.id, p.user, p.nth, p.seq, c.epoch, null(c.event), key, stamp(p.at), stamp(p.at))
	w.exec("UPDATE coupons SET issued_count = issued_count + 1 WHERE id = ?", c.id)
}

// record puts a place into the log and says where.
func (w *world) record(c *coupon, p place, epoch int64) (partition int32, offset int64) {
	return w.produce(p.user, recordOf(c, p, epoch))
}

func recordOf(c *coupon, p place, epoch int64) string {
	value := fmt.Sprintf(`{"v":1,"coupon_id":%d,"user_id":%q,"nth":%d,"seq":%d,"epoch":%d,"accepted_at":%q`,
		c.id, p.user, p.nth, p.seq, epoch, p.at.Format("2006-01-02T15:04:05.000000Z"))
	if p.key != "" {
		value += fmt.Sprintf(`,"key":%q`, p.key)
	}
	return value + "}"
}

func (w *world) ctx() context.Context { return context.Background() }

func (w *world) produce(user, value string) (int32, int64) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user))
	partition, offset, err := w.out.SendMessage(&sarama.ProducerMessage{
		Topic: w.cfg.Kafka.Topic, Partition: int32(h.Sum32() % partitions), Key: sarama.StringEncoder(user), Value: sarama.StringEncoder(value),
	})
	require.NoError(w.t, err)
	return partition, offset
}

// consume commits the log's ends, as consumers do that have written everything.
func (w *world) consume() {
	w.t.Helper()
	request := &sarama.OffsetCommitRequest{
		Version: 2, ConsumerGroup: w.cfg.Kafka.Group, ConsumerGroupGeneration: sarama.GroupGenerationUndefined, RetentionTime: -1,
	}
	for p := range int32(partitions) {
		request.AddBlock(w.cfg.Kafka.Topic, p, w.end(p), 0, "")
	}
	coordinator, err := w.kafka.Coordinator(w.cfg.Kafka.Group)
	require.NoError(w.t, err)
	answer, err := coordinator.CommitOffset(request)
	require.NoError(w.t, err)
	for _, partitionErrs := range answer.Errors {
		for _, err := range partitionErrs {
			require.Equal(w.t, sarama.ErrNoError, err)
		}
	}
}

func (w *world) end(partition int32) int64 {
	end, err := w.kafka.GetOffset(w.cfg.Kafka.Topic, partition, sarama.OffsetNewest)
	require.NoError(w.t, err)
	return end
}

func (w *world) fail(c *coupon, user string, partition int32, offset int64, reason, status string, due time.Time) {
	w.exec(`INSERT INTO failed_events (topic, partition_no, offset_no, record_key, payload, reason, error, attempts, next_attempt_at,
		status, coupon_id, user_id, created_at, updated_at) VALUES (?, ?, ?, ?, '', ?, '', 0, ?, ?, ?, ?, ?, ?)`,
		w.cfg.Kafka.Topic, partition, offset, user, reason, stamp(due), status, c.id, user, stamp(now), stamp(now))
}

func (w *world) verify() audit.Report {
	w.t.Helper()
	r, err := audit.Verify(context.Background(), w.cfg)
	require.NoError(w.t, err)
	return r
}

func found(r audit.Report) []string {
	list := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		list[i] = string(f.Type) + ": " + f.Subject.String()
	}
	return list
}
