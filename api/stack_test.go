package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/api"
	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/ops"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")) // of Sarama, one for the process
}

const (
	secret     = "0123456789abcdef0123456789abcdef"
	partitions = 3
	memoryTTL  = 50 * time.Millisecond // M
)

// servers are the embedded Redis, Kafka and database under one or several apis.
type servers struct {
	redis *embedded.Server
	kafka *kfake.Cluster
	book  *ledger.Book
	cfg   config.Config
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{}
	var err error
	s.redis, err = embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(s.redis.Close)
	s.kafka, err = kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(s.kafka.Close)
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	s.book, err = ledger.Open(t.Context(), ledger.Config{DSN: dsn})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.book.Close()) })
	s.cfg, err = config.Load(config.API, config.LoadOptions{Env: []string{
		"FIRSTCOME_HTTP_ADDR=127.0.0.1:0", "FIRSTCOME_OPS_ADDR=127.0.0.1:0",
		"FIRSTCOME_REDIS_ADDRS=" + s.redis.Addr(), "FIRSTCOME_KAFKA_BROKERS=" + strings.Join(s.kafka.ListenAddrs(), ","),
		"FIRSTCOME_KAFKA_PARTITIONS=" + fmt.Sprint(partitions), "FIRSTCOME_DATABASE_DSN=" + dsn,
		"FIRSTCOME_AUTH_HS256_SECRET=" + secret, "FIRSTCOME_ADMISSION_MEMORY_TTL=" + memoryTTL.String(),
		// A busy machine is slow, not broken.
		"FIRSTCOME_HTTP_WRITE_TIMEOUT=1m", "FIRSTCOME_HTTP_READ_TIMEOUT=30s", "FIRSTCOME_HTTP_READ_HEADER_TIMEOUT=30s", "FIRSTCOME_ADMISSION_ANSWER_TIMEOUT=2s",
	}})
	require.NoError(t, err)
	return s
}

// migrate does what `batch migrate` does.
func (s *servers) migrate(t *testing.T) {
	t.Helper()
	require.NoError(t, s.book.Migrate(t.Context()))
	k := s.cfg.Kafka
	require.NoError(t, kafkajournal.CreateTopic(t.Context(), k.Brokers, k.Topic, k.Partitions, k.Replication))
}

// places are the journal's records, by partition.
func (s *servers) places(t *testing.T) map[int32][]ledger.Record {
	t.Helper()
	k := s.cfg.Kafka
	reader, err := kafkajournal.NewReader(kafkajournal.Config{Brokers: k.Brokers, Topic: k.Topic, Group: k.Group}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	to, err := reader.Ends(t.Context())
	require.NoError(t, err)
	from := map[int32]int64{}
	for p := range to {
		from[p] = 0
	}
	found := map[int32][]ledger.Record{}
	require.NoError(t, reader.Read(t.Context(), from, to, func(p int32, offset int64, place coupon.Place) error {
		found[p] = append(found[p], ledger.Record{Partition: p, Offset: offset, Key: []byte(place.UserID), Place: place})
		return nil
	}))
	return found
}

// consume does what a consumer does: all records of the journal into the ledger.
func (s *servers) consume(t *testing.T) {
	t.Helper()
	w := ledger.NewWriter(s.book, ledger.WriterOptions{
		Topic: s.cfg.Kafka.Topic, Log: slog.New(slog.DiscardHandler), Registerer: ops.NewRegistry(),
	})
	for _, records := range s.places(t) {
		require.NoError(t, w.Write(t.Context(), records))
	}
}

// running is one api.
type running struct {
	t      testing.TB
	url    string
	client *http.Client
	stop   context.CancelFunc
	done   chan error
	checks *ops.Checks
}

func (s *servers) run(t *testing.T, change ...func(*api.Options)) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, stop: cancel, done: make(chan error, 1), checks: &ops.Checks{}}
	ready := make(chan string, 1)
	opts := api.Options{Log: slog.New(slog.DiscardHandler), Ready: func(addr string) { ready <- addr }, Checks: r.checks.Add}
	for _, c := range change {
		c(&opts)
	}
	go func() { r.done <- api.Run(ctx, s.cfg, opts) }()
	select {
	case addr := <-ready:
		r.url = "http://" + addr
	case err := <-r.done:
		cancel()
		t.Fatalf("the api did not start: %v", err)
	}
	r.client = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		cancel()
		if err, open := <-r.done; open {
			require.NoError(t, err)
		}
	})
	return r
}

func token(t testing.TB, user string, roles ...string) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "roles": roles, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	require.NoError(t, err)
	return s
}

type answer struct {
	status int
	header http.Header
	doc    map[string]any
}

func (a answer) code() string { code, _ := a.doc["code"].(string); return code }

func (a answer) seq() int64 { seq, _ := a.doc["seq"].(float64); return int64(seq) }

func (r *running) ask(method, path, bearer, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, r.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	raw, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return answer{}, err
	}
	got := answer{status: resp.StatusCode, header: resp.Header}
	return got, json.Unmarshal(raw, &got.doc)
}

func (r *running) must(method, path, bearer, body string, header ...string) answer {
	r.t.Helper()
	got, err := r.ask(method, path, bearer, body, header...)
	require.NoError(r.t, err)
	return got
}

func (r *running) admin(method, path, body string, status int) answer {
	r.t.Helper()
	got := r.must(method, path, token(r.t, "boss", "admin"), body)
	require.Equal(r.t, status, got.status, "%s %s: %v", method, path, got.doc)
	return got
}

// claimOnce claims without asking again.
func (r *running) claimOnce(couponID int64, user string, header ...string) answer {
	r.t.Helper()
	return r.must(http.MethodPost, fmt.Sprintf("/v1/coupons/%d/issues", couponID), token(r.t, user), "", header...)
}

// claim claims as a client should: "unavailable" means to ask again.
func (r *running) claim(couponID int64, user string, header ...string) answer {
	r.t.Helper()
	for range 50 {
		if got := r.claimOnce(couponID, user, header...); got.status != http.StatusServiceUnavailable {
			return got
		}
	}
	r.t.Fatalf("coupon %d: unavailable to %s for ever", couponID, user)
	return answer{}
}

// won says whether the answer is a receipt. Which of the two depends on whether an earlier request was heard.
func (a answer) won() bool { return a.status == http.StatusAccepted || a.status == http.StatusOK }

func (r *running) vendor() int64 {
	r.t.Helper()
	return r.admin(http.MethodPost, "/v1/admin/vendors", `{"name":"Kim"}`, http.StatusCreated).id()
}

func (a answer) id() int64 { id, _ := a.doc["id"].(float64); return int64(id) }

// coupon publishes one that is open for an hour, with further fields such as `"total_quantity":5`.
func (r *running) coupon(vendor int64, name string, fields ...string) int64 {
	r.t.Helper()
	body := fmt.Sprintf(`{"name":%q,"vendor_id":%d`, name, vendor)
	all := strings.Join(fields, ",")
	for field, at := range map[string]time.Time{"opens_at": time.Now().Add(-time.Hour), "closes_at": time.Now().Add(time.Hour)} {
		if !strings.Contains(all, field) {
			body += fmt.Sprintf(`,%q:%q`, field, at.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, f := range fields {
		body += "," + f
	}
	return r.admin(http.MethodPost, "/v1/admin/coupons", body+"}", http.StatusCreated).id()
}

func (r *running) change(couponID int64, fields string, status int) answer {
	r.t.Helper()
	return r.admin(http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", couponID), `{"reason":"a test",`+fields+`}`, status)
}

// crowd runs f for each number at once, at most 64 at a time.
func crowd(n int, f func(i int)) {
	var wg sync.WaitGroup
	tickets := make(chan struct{}, 64)
	for i := range n {
		tickets <- struct{}{}
		wg.Go(func() {
			f(i)
			<-tickets
		})
	}
	wg.Wait()
}
