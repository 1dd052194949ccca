package api_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firstcome/firstcome/api"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/support/config"
)

func TestAStartThatCannotWorkSaysWhatToCorrect(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	run := func(change func(*config.Config)) error {
		cfg := s.cfg
		change(&cfg)
		return api.Run(t.Context(), cfg, api.Options{Log: slog.New(slog.DiscardHandler), Ops: true})
	}
	require.ErrorContains(t, run(func(*config.Config) {}), "batch migrate", "no schema")
	require.NoError(t, s.book.Migrate(t.Context()))
	err := run(func(*config.Config) {})
	require.ErrorContains(t, err, "batch migrate")
	require.ErrorIs(t, err, kafkajournal.ErrTopicMissing)
	s.migrate(t)

	var lc net.ListenConfig
	taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	for key, change := range map[string]func(*config.Config){
		"FIRSTCOME_HTTP_ADDR":  func(c *config.Config) { c.HTTP.Addr = taken.Addr().String() },
		"FIRSTCOME_OPS_ADDR":   func(c *config.Config) { c.Ops.Addr = taken.Addr().String() },
		"auth.hs256_secret":    func(c *config.Config) { c.Auth.HS256Secret = "" },
		"database.dsn":         func(c *config.Config) { c.Database.DSN = "nonsense" },
		"redis at 127.0.0.1:1": func(c *config.Config) { c.Redis.Addrs = []string{"127.0.0.1:1"} },
		"kafka at 127.0.0.1:1": func(c *config.Config) { c.Kafka.Brokers = []string{"127.0.0.1:1"} },
	} {
		require.ErrorContains(t, run(change), key)
	}
}

func TestALostRedisIsRebuiltAndEveryPromiseKept(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	id := r.coupon(r.vendor(), "coffee", `"total_quantity":3`)
	receipts := map[string]answer{}
	for _, user := range []string{"alice", "bob"} {
		receipts[user] = r.claim(id, user)
		require.True(t, receipts[user].won())
	}
	for name, lose := range map[string]func(){
		"emptied": s.redis.Raw().FlushAll, "another server": s.redis.NewIdentity, "failed over and back": s.redis.NewReign,
	} {
		lose()
		lost := r.claimOnce(id, "alice")
		assert.Equal(t, http.StatusServiceUnavailable, lost.status, name)
		assert.Equal(t, "1", lost.header.Get("Retry-After"))
		var back answer
		require.Eventually(t, func() bool { back = r.claimOnce(id, "alice"); return back.won() }, 10*time.Second, 10*time.Millisecond, name)
		assert.Equal(t, receipts["alice"].doc, back.doc, name)
		assert.Equal(t, receipts["bob"].doc, r.claim(id, "bob").doc, name)
	}
	assert.True(t, r.claim(id, "carol").won())
	assert.Equal(t, "sold_out", r.claim(id, "dave").code())
}

// held makes the broker sit on every record until it is released.
func held(s *servers) (arrived *atomic.Int64, release func()) {
	arrived = &atomic.Int64{}
	gate := make(chan struct{})
	s.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		arrived.Add(1)
		s.kafka.SleepControl(func() { <-gate })
		return nil, nil, false
	})
	return arrived, sync.OnceFunc(func() { close(gate) })
}

func TestAStopAnswersWhatWasTaken(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	registry := prometheus.NewRegistry()
	r := s.run(t, func(o *api.Options) { o.Registry = registry })
	id := r.coupon(r.vendor(), "coffee")
	arrived, release := held(s)
	defer release()

	answers := make(chan answer, 20)
	var clients sync.WaitGroup
	for i := range cap(answers) {
		clients.Go(func() {
			got, err := r.ask(http.MethodPost, fmt.Sprintf("/v1/coupons/%d/issues", id), token(t, fmt.Sprintf("u-%d", i)), "")
			if assert.NoError(t, err) {
				answers <- got
			}
		})
	}
	require.Eventually(t, func() bool {
		return arrived.Load() > 0 && inFlight(t, registry) == float64(cap(answers))
	}, 5*time.Second, 5*time.Millisecond)
	me := r.url
	r.stop()
	require.Eventually(t, func() bool {
		conn, err := dial(t, me)
		if err == nil {
			_ = conn.Close() // it was still there
		}
		return err != nil
	}, 5*time.Second, 5*time.Millisecond, "no more is taken")
	release()
	clients.Wait()
	require.NoError(t, <-r.done)
	close(r.done)
	close(answers)
	n := 0
	for got := range answers {
		n++
		assert.Contains(t, []int{http.StatusAccepted, http.StatusServiceUnavailable}, got.status, "%v", got.doc)
	}
	assert.Equal(t, cap(answers), n, "an answer for everybody")
}

func dial(t *testing.T, url string) (net.Conn, error) {
	t.Helper()
	var d net.Dialer
	return d.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
}

// inFlight is what the api says of the requests that it has taken.
func inFlight(t *testing.T, g prometheus.Gatherer) float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "firstcome_api_requests_in_flight" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no such metric")
	return 0
}

func TestASlowJournalKeepsThePlace(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	s.cfg.Admission.AnswerTimeout = 200 * time.Millisecond
	r := s.run(t)
	id := r.coupon(r.vendor(), "coffee", `"total_quantity":1`)
	_, release := held(s)
	defer release()
	first := r.claimOnce(id, "alice")
	assert.Equal(t, http.StatusServiceUnavailable, first.status)
	assert.Equal(t, "sold_out", r.claim(id, "bob").code(), "the place is alice's, answered or not")
	me := fmt.Sprintf("/v1/coupons/%d/issues/me", id)
	assert.Equal(t, http.StatusServiceUnavailable, r.must(http.MethodGet, me, token(t, "alice"), "").status, "pending is no promise")
	release()
	var back answer
	require.Eventually(t, func() bool {
		back = r.claimOnce(id, "alice")
		return back.won()
	}, 10*time.Second, 20*time.Millisecond)
	assert.EqualValues(t, 1, back.seq())
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	require.Eventually(t, func() bool { _, ok := r.checks.Run(t.Context(), false); return ok }, 5*time.Second, 10*time.Millisecond)
	s.redis.Raw().SetError("LOADING")
	results, ok := r.checks.Run(t.Context(), false)
	assert.False(t, ok)
	for _, c := range results {
		assert.Equal(t, c.Name != "redis", c.OK, "%v", c)
	}
	_, ok = r.checks.Run(t.Context(), true)
	assert.True(t, ok, "a new start would not heal it")
	s.redis.Raw().SetError("")
}

func TestAnAnswerThatTakesLongerThanReadingIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	s.cfg.HTTP.ReadTimeout = 100 * time.Millisecond
	s.cfg.Admission.MemoryTTL = 300 * time.Millisecond
	r := s.run(t)
	vendor := r.vendor()
	event := r.admin(http.MethodPost, "/v1/admin/events", `{"name":"week","starts_at":"2026-01-01T00:00:00Z","ends_at":"2999-01-01T00:00:00Z"}`, http.StatusCreated).id()
	s.redis.Raw().FlushAll()
	began := time.Now()
	r.coupon(vendor, "coffee", fmt.Sprintf(`"event_id":%d`, event)) // joins the gate when that is rebuilt, M later at the soonest
	assert.Greater(t, time.Since(began), s.cfg.HTTP.ReadTimeout)
}

func TestASlowClientIsCutAndOthersAreServed(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	s.cfg.HTTP.ReadHeaderTimeout = 100 * time.Millisecond
	s.cfg.HTTP.ReadTimeout = 200 * time.Millisecond
	r := s.run(t)
	for _, begin := range []string{"GET /v1/coupons HTTP/1.1\r\nHost: x\r\nX-Slow: ", "POST /v1/admin/vendors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
		token(t, "boss", "admin") + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"} {
		conn, err := dial(t, r.url)
		require.NoError(t, err)
		_, err = conn.Write([]byte(begin))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, err = io.ReadAll(conn) // until it is cut
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	require.Equal(t, http.StatusOK, r.must(http.MethodGet, "/v1/coupons", "", "").status)
}
