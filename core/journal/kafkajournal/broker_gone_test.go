package kafkajournal_test

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// restartable is an in-process Kafka that keeps its data and its address over a restart.
type restartable struct {
	t    *testing.T
	dir  string
	port int
	now  *kfake.Cluster
}

func newRestartable(t *testing.T) *restartable {
	t.Helper()
	r := &restartable{t: t, dir: t.TempDir(), port: freePort(t)}
	t.Cleanup(r.stop)
	return r
}

func (r *restartable) addrs() []string {
	return []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port))}
}

func (r *restartable) start() {
	r.t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(r.port), kfake.DataDir(r.dir))
	require.NoError(r.t, err)
	r.now = c
}

func (r *restartable) stop() {
	if r.now != nil {
		r.now.Close()
		r.now = nil
	}
}

func TestWhileTheBrokerIsGoneAppendEndsByItsDeadlineAndAfterwardsItWorks(t *testing.T) {
	t.Parallel()
	kafka := newRestartable(t)
	kafka.start()
	cfg := made(t, kafka.addrs(), 2)
	j := opened(t, cfg)
	require.NoError(t, j.Append(within(t, 5*time.Second), place(1)))

	kafka.stop()
	for n := range 5 {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		require.Error(t, j.Append(ctx, place(n+2)))
		cancel()
		assert.Less(t, time.Since(began), time.Second)
	}
	require.Eventually(t, func() bool {
		err := j.Ping(within(t, time.Second))
		return err != nil && strings.Contains(err.Error(), "is it running")
	}, 5*time.Second, 50*time.Millisecond)
	assert.ErrorContains(t, j.CheckTopic(within(t, 2*time.Second)), "refused the connection")

	kafka.start()
	back := time.Now()
	// One Append may still meet the line that is about to be replaced and fail at once; whoever asks again is served.
	require.Eventually(t, func() bool { return j.Append(within(t, 5*time.Second), place(100)) == nil },
		20*time.Second, 50*time.Millisecond)
	assert.Less(t, time.Since(back), 9*time.Second, "no circuit breaker holds it up for 10 s")
	require.NoError(t, j.Append(within(t, 5*time.Second), place(101)))
	require.NoError(t, j.Ping(within(t, 5*time.Second)))

	there := map[int64]bool{}
	for _, p := range all(t, reading(t, cfg)) {
		there[p.Seq] = true
	}
	for _, seq := range []int64{1, 100, 101} {
		assert.True(t, there[seq], "acknowledged and not there: %d", seq)
	}
}

func TestABrokerMayComeLater(t *testing.T) {
	t.Parallel()
	kafka := newRestartable(t)
	cfg := kafkajournal.Config{Brokers: kafka.addrs(), Topic: unique("topic"), Group: unique("group"), Timeout: time.Second}
	j, r := opened(t, cfg), reading(t, cfg)
	require.Eventually(t, func() bool {
		err := j.Ping(within(t, time.Second))
		return err != nil && strings.Contains(err.Error(), "is it running")
	}, 5*time.Second, 50*time.Millisecond)
	_, err := r.Ends(within(t, 5*time.Second))
	require.ErrorContains(t, err, "is it running")

	kafka.start()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = j.Append(ctx, place(1))
	require.ErrorIs(t, err, kafkajournal.ErrTopicMissing)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	require.NoError(t, kafkajournal.CreateTopic(within(t, 10*time.Second), cfg.Brokers, cfg.Topic, 1, 1))
	require.NoError(t, j.Append(within(t, 10*time.Second), place(2)))
	assert.Equal(t, []coupon.Place{place(2)}, all(t, r))
}

// A broker that takes records and never answers is the worst kind: only deadlines help.
func TestABrokerThatHangsBlocksNobodyForEver(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	cfg := made(t, cluster.ListenAddrs(), 1)
	cfg.Timeout = 400 * time.Millisecond
	j := opened(t, cfg)
	require.NoError(t, j.Append(within(t, 5*time.Second), place(1)))

	var mu sync.Mutex
	hangs := true
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		mu.Lock()
		defer mu.Unlock()
		cluster.KeepControl()
		return nil, nil, hangs // taken and never answered
	})
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, j.Append(ctx, place(2)), context.DeadlineExceeded)
	assert.Less(t, time.Since(began), time.Second)

	mu.Lock()
	hangs = false
	mu.Unlock()
	require.NoError(t, j.Append(within(t, 10*time.Second), place(3)))
}

func TestAClosingJournalDoesNotWaitForABrokerThatIsGone(t *testing.T) {
	t.Parallel()
	cfg := kafkajournal.Config{Brokers: []string{"127.0.0.1:1"}, Topic: "x", Timeout: time.Second}
	j, err := kafkajournal.Open(cfg, quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	require.NoError(t, j.Close(within(t, 2*time.Second)))
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	notKafka, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, notKafka.Close()) }()
	go func() {
		for {
			c, aerr := notKafka.Accept()
			if aerr != nil || c.Close() != nil {
				return
			}
		}
	}()
	for broker, says := range map[string]string{
		"127.0.0.1:1":            "is it running",
		"no-such-host.invalid:1": "correct kafka.brokers",
		notKafka.Addr().String(): "Kafka's own port",
	} {
		err = kafkajournal.CheckTopic(within(t, 10*time.Second), kafkajournal.Config{
			Brokers: []string{broker}, Topic: "x", Timeout: time.Second,
		})
		assert.ErrorContains(t, err, says, broker)
	}
	_, err = kafkajournal.Open(kafkajournal.Config{}, quiet(), prometheus.NewRegistry())
	require.ErrorContains(t, err, "kafka.brokers")
	require.ErrorContains(t, err, "kafka.topic")
	_, err = kafkajournal.NewReader(kafkajournal.Config{}, quiet())
	require.ErrorContains(t, err, "kafka.group")
}
