package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/consumer"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/config"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Sarama's metrics library starts one goroutine for the whole process and never ends it.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// An HTTP connection that a test's client keeps for the next request.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

const patience = 30 * time.Second

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// settings are those of a consumer on an in-process Kafka and a fresh SQLite file.
func settings(t *testing.T) config.Config {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	cfg := config.Default(config.Consumer)
	cfg.Ops.Addr = "127.0.0.1:0"
	cfg.Kafka.Brokers = cluster.ListenAddrs()
	cfg.Kafka.Timeout = 2 * time.Second
	cfg.Database.DSN = config.Secret("sqlite:" + filepath.Join(t.TempDir(), "ledger.db"))
	return cfg
}

func migrated(t *testing.T, cfg config.Config) *ledger.Book {
	t.Helper()
	book, err := ledger.Open(t.Context(), ledger.Config{DSN: cfg.Database.DSN.Reveal()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, book.Close()) })
	require.NoError(t, book.Migrate(t.Context()))
	return book
}

func withTopic(t *testing.T, cfg config.Config) {
	t.Helper()
	require.NoError(t, kafkajournal.CreateTopic(t.Context(), cfg.Kafka.Brokers, cfg.Kafka.Topic, 3, 1))
}

// running starts a consumer and returns the address of its ops listener.
func running(t *testing.T, cfg config.Config) (addr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	up, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- consumer.Run(ctx, cfg, consumer.Options{Log: quiet(), Ops: true, Ready: func(addr string) { up <- addr }})
	}()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	select {
	case addr = <-up:
		return addr
	case err := <-done:
		done <- nil
		t.Fatalf("the consumer ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the consumer does not start")
	}
	return ""
}

func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, string(body)
}

func TestAcceptedPlacesBecomeRows(t *testing.T) {
	t.Parallel()
	cfg := settings(t)
	book := migrated(t, cfg)
	withTopic(t, cfg)
	require.NoError(t, book.CreateVendor(t.Context(), 1, "v"))
	const total = 50
	places := int64(total)
	for _, made := range book.CreateCoupons(t.Context(), []coupon.Coupon{{
		ID: 7, VendorID: 1, Name: "c", Kind: coupon.FirstComeIssue, PerUserLimit: 1, CreatedAt: time.Now(),
		Terms: coupon.Terms{Total: &places, State: coupon.StateOpen, OpensAt: time.Now(), ClosesAt: time.Now().Add(time.Hour)},
	}}) {
		require.NoError(t, made.Err)
	}
	j, err := kafkajournal.Open(kafkajournal.Config{Brokers: cfg.Kafka.Brokers, Topic: cfg.Kafka.Topic}, quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	defer func() { assert.NoError(t, j.Close(t.Context())) }()
	place := func(n int) coupon.Place {
		return coupon.Place{
			CouponID: 7, UserID: fmt.Sprintf("u-%d", n), Nth: 1, Seq: int64(n), Epoch: 1,
			AcceptedAt: time.Date(2026, 11, 20, 12, 0, 0, n*1000, time.UTC),
		}
	}
	for n := 1; n <= total; n++ {
		require.NoError(t, j.Append(t.Context(), place(n)))
	}
	require.NoError(t, j.Append(t.Context(), place(1)), "a second record of the same place")
	unknown := place(1)
	unknown.CouponID = 8
	require.NoError(t, j.AppendAttempt(t.Context(), unknown, 3))

	addr := running(t, cfg)
	require.Eventually(t, func() bool {
		c, err := book.Coupon(t.Context(), 7)
		return err == nil && c.IssuedCount == total
	}, patience, 20*time.Millisecond)
	for n := 1; n <= total; n++ {
		issue, err := book.Issue(t.Context(), 7, place(n).UserID, 1)
		require.NoError(t, err)
		assert.Equal(t, int64(n), issue.Seq)
		assert.True(t, issue.AcceptedAt.Equal(place(n).AcceptedAt))
	}
	require.Eventually(t, func() bool {
		failed, err := book.FailedEvents(t.Context(), 0, 10, "", "")
		return err == nil && len(failed) == 1 && failed[0].Reason == coupon.FailUnknownCoupon && failed[0].Attempts == 3
	}, patience, 20*time.Millisecond)

	require.Eventually(t, func() bool { status, _ := get(t, addr, "/readyz"); return status == http.StatusOK }, patience, 20*time.Millisecond)
	status, _ := get(t, addr, "/livez")
	assert.Equal(t, http.StatusOK, status)
	_, metrics := get(t, addr, "/metrics")
	for _, name := range []string{
		`firstcome_consumer_records_read_total{form="good"} 52`, "firstcome_ledger_batch_records", "firstcome_ledger_batch_seconds",
		`firstcome_ledger_records_total{outcome="issued"} 50`, "firstcome_consumer_write_failures_total 0",
	} {
		assert.Contains(t, metrics, name)
	}
}

func TestWhatWaitingDoesNotHealEndsTheStart(t *testing.T) {
	t.Parallel()
	run := func(cfg config.Config) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return consumer.Run(ctx, cfg, consumer.Options{Log: quiet(), Ops: true})
	}
	t.Run("no schema", func(t *testing.T) {
		t.Parallel()
		cfg := settings(t)
		withTopic(t, cfg)
		require.ErrorContains(t, run(cfg), "batch migrate")
	})
	t.Run("no topic", func(t *testing.T) {
		t.Parallel()
		cfg := settings(t)
		migrated(t, cfg)
		err := run(cfg)
		require.ErrorIs(t, err, kafkajournal.ErrTopicMissing)
		require.ErrorContains(t, err, "batch migrate")
	})
	t.Run("port taken", func(t *testing.T) {
		t.Parallel()
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { assert.NoError(t, l.Close()) }()
		cfg := settings(t)
		cfg.Ops.Addr = l.Addr().String()
		require.ErrorContains(t, run(cfg), "ops.addr")
	})
}

// A database or a Kafka that starts later than the consumer is waited for, and /readyz says for what.
func TestServersThatAreAwayAreWaitedFor(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*config.Config){
		"database": func(c *config.Config) { c.Database.DSN = "u:p@tcp(127.0.0.1:1)/x" },
		"kafka":    func(c *config.Config) { c.Kafka.Brokers = []string{"127.0.0.1:1"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t)
			migrated(t, cfg)
			away(&cfg)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			checks := make(chan func(context.Context) error, 1)
			go func() {
				done <- consumer.Run(ctx, cfg, consumer.Options{
					Log:    quiet(),
					Checks: func(_ string, check func(context.Context) error, _ bool) { checks <- check },
				})
			}()
			start := <-checks
			require.Eventually(t, func() bool {
				err := start(t.Context())
				return err != nil && strings.Contains(err.Error(), "127.0.0.1:1")
			}, patience, 20*time.Millisecond)
			cancel()
			require.NoError(t, <-done)
		})
	}
}

func TestReadinessNamesItsChecks(t *testing.T) {
	t.Parallel()
	cfg := settings(t)
	migrated(t, cfg)
	withTopic(t, cfg)
	addr := running(t, cfg)
	_, body := get(t, addr, "/readyz")
	var answer struct {
		Checks []struct{ Name string }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	var names []string
	for _, c := range answer.Checks {
		names = append(names, c.Name)
	}
	assert.Equal(t, []string{"assumptions", "database", "kafka", "start", "writer"}, names)
}
