package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Answer is what an api said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Receipt is the body of a 200 or 202 to a claim.
type Receipt struct {
	CouponID   int64     `json:"coupon_id"`
	UserID     string    `json:"user_id"`
	Nth        int       `json:"nth"`
	Seq        int64     `json:"seq"`
	Status     string    `json:"status"`
	AcceptedAt time.Time `json:"accepted_at"`
}

// Problem is the body of a refusal.
type Problem struct {
	Status     int       `json:"status"`
	Code       string    `json:"code"`
	Detail     string    `json:"detail"`
	ServerTime time.Time `json:"server_time"`
	OpensAt    time.Time `json:"opens_at"`
}

// Accepted says whether the answer promises a coupon.
func (a Answer) Accepted() bool { return a.Status == http.StatusOK || a.Status == http.StatusAccepted }

// Code is the stable code of a refusal.
func (a Answer) Code() string {
	var p Problem
	if json.Unmarshal(a.Body, &p) != nil {
		return ""
	}
	return p.Code
}

// Receipt reads the receipt.
func (a Answer) Receipt(t *testing.T) Receipt {
	t.Helper()
	var r Receipt
	require.NoError(t, json.Unmarshal(a.Body, &r), "%s", a.Body)
	return r
}

// JSON reads the body.
func (a Answer) JSON(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(a.Body, &m), "%s", a.Body)
	return m
}

// Token of a user; admin tells whether the admin paths are open to it.
func (s *Stack) Token(user string, admin bool) string {
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}
	if admin {
		claims["roles"] = []string{"admin"}
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(s.secret))
	if err != nil {
		panic(fmt.Sprintf("sign with HS256: %v", err)) // only a key of the wrong type can do this
	}
	return signed
}

// Do sends a request to the i-th api.
func (s *Stack) Do(ctx context.Context, i int, method, path, token string, body any, header ...string) (Answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewReader([]byte(b))
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.APIs[i%len(s.APIs)]+path, reader)
	if err != nil {
		return Answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if reader != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for h := 0; h+1 < len(header); h += 2 {
		req.Header.Set(header[h], header[h+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	text, err := io.ReadAll(resp.Body)
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: text}, err
}

// client keeps a connection for each worker of a storm.
var client = &http.Client{
	Timeout:   30 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxIdleConns: 2048, IdleConnTimeout: 5 * time.Second},
}

// Must is Do for a test that expects an answer with this status.
func (s *Stack) Must(t *testing.T, status int, method, path, token string, body any, header ...string) Answer {
	t.Helper()
	a, err := s.Do(t.Context(), rand.IntN(len(s.APIs)), method, path, token, body, header...) //nolint:gosec // any api will do
	require.NoError(t, err)
	require.Equal(t, status, a.Status, "%s %s: %s", method, path, a.Body)
	return a
}

// Claim claims a coupon at the i-th api.
func (s *Stack) Claim(ctx context.Context, i int, couponID int64, user string, key ...string) (Answer, error) {
	var header []string
	if len(key) > 0 {
		header = []string{"Idempotency-Key", key[0]}
	}
	return s.Do(ctx, i, http.MethodPost, fmt.Sprintf("/v1/coupons/%d/issues", couponID), s.Token(user, false), nil, header...)
}

// Vendor creates a vendor.
func (s *Stack) Vendor(t *testing.T) int64 {
	t.Helper()
	a := s.Must(t, http.StatusCreated, http.MethodPost, "/v1/admin/vendors", s.Token("root", true),
		map[string]any{"name": Unique("vendor")})
	return int64(a.JSON(t)["id"].(float64))
}

// Coupon publishes a coupon of a new vendor, open from an hour ago for a day, with more fields or others than these.
func (s *Stack) Coupon(t *testing.T, fields map[string]any) int64 {
	t.Helper()
	body := map[string]any{
		"name": Unique("coupon"), "opens_at": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano),
		"closes_at": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339Nano),
	}
	for k, v := range fields {
		body[k] = v
	}
	if _, given := body["vendor_id"]; !given {
		body["vendor_id"] = s.Vendor(t)
	}
	a := s.Must(t, http.StatusCreated, http.MethodPost, "/v1/admin/coupons", s.Token("root", true), body)
	return int64(a.JSON(t)["id"].(float64))
}

// Event creates an event.
func (s *Stack) Event(t *testing.T) int64 {
	t.Helper()
	a := s.Must(t, http.StatusCreated, http.MethodPost, "/v1/admin/events", s.Token("root", true), map[string]any{
		"name": Unique("event"), "starts_at": time.Now().UTC().Format(time.RFC3339),
		"ends_at": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339),
	})
	return int64(a.JSON(t)["id"].(float64))
}

// Unique makes a name that no other test has.
func Unique(what string) string { return fmt.Sprintf("%s %d", what, rand.Int64()) } //nolint:gosec // a name

// Record is a record of the journal.
type Record struct {
	Partition int32
	Offset    int64
	Key       string
	Value     []byte
	Headers   map[string]string
}

// Journal reads all records that the topic has now.
func (s *Stack) Journal(t *testing.T) []Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.ConsumeTopics(s.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer kafka.Close()
	ends, err := kadm.NewClient(kafka).ListEndOffsets(ctx, s.Topic)
	require.NoError(t, err)
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var found []Record
	for left > int64(len(found)) {
		fetches := kafka.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			found = append(found, Record{r.Partition, r.Offset, string(r.Key), r.Value, headers})
		})
	}
	return found
}

// Committed are the offsets that the consumers' group has committed, by partition.
func (s *Stack) Committed(t *testing.T) map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	require.NoError(t, err)
	defer kafka.Close()
	offsets, err := kadm.NewClient(kafka).FetchOffsets(ctx, s.Group)
	require.NoError(t, err)
	committed := map[int32]int64{}
	for partition, o := range offsets[s.Topic] {
		committed[partition] = o.At
	}
	return committed
}

// Produce puts a record on the journal as any program with access to Kafka can, on a partition of its choice.
func (s *Stack) Produce(t *testing.T, partition int32, key string, value []byte) {
	t.Helper()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer kafka.Close()
	res := kafka.ProduceSync(t.Context(), &kgo.Record{Topic: s.Topic, Partition: partition, Key: []byte(key), Value: value})
	require.NoError(t, res.FirstErr())
}

// Count runs a query that returns one number.
func (s *Stack) Count(t *testing.T, query string, args ...any) int64 {
	t.Helper()
	var n int64
	require.NoError(t, s.SQL.QueryRowContext(t.Context(), query, args...).Scan(&n), query)
	return n
}

// Eventually waits until the condition holds.
func Eventually(t *testing.T, within time.Duration, condition func() bool, msg string, args ...any) {
	t.Helper()
	require.Eventually(t, condition, within, 20*time.Millisecond, append([]any{msg}, args...)...)
}
