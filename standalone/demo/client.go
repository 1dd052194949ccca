package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// client speaks to the api as any user would.
type client struct {
	base string
	http *http.Client
}

// Bounds of the client. The api answers within admission.answer_timeout (2 s); what takes longer is an unknown outcome
// and is asked again.
const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 64 << 10
)

func newClient(base string, connections int) *client {
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	return &client{base: base, http: &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			MaxIdleConns:        connections,
			MaxIdleConnsPerHost: connections,
			IdleConnTimeout:     time.Minute,
		},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what the api said.
type answer struct {
	status int
	body   []byte
}

type receipt struct {
	CouponID int64  `json:"coupon_id"`
	UserID   string `json:"user_id"`
	Nth      int    `json:"nth"`
	Seq      int64  `json:"seq"`
}

func (a answer) promised() bool { return a.status == http.StatusOK || a.status == http.StatusAccepted }

// code is the stable code of a refusal.
func (a answer) code() string {
	var problem struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(a.body, &problem); err != nil || problem.Code == "" {
		return fmt.Sprintf("status %d without a code", a.status)
	}
	return problem.Code
}

func (c *client) send(ctx context.Context, method, path, token, key string, body any) (answer, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return answer{status: resp.StatusCode, body: text}, errors.Join(err, resp.Body.Close())
}

// errNameTaken says that something of that name is there already.
var errNameTaken = errors.New("the name is taken")

// create posts something of the admin's and returns its id. A 503 is an unknown outcome and is asked again; when that
// finds the name taken, it was by ourselves: errNameTaken.
func (c *client) create(ctx context.Context, path, token string, body any) (int64, error) {
	for repeat := range maxRepeats {
		a, err := c.send(ctx, http.MethodPost, path, token, "", body)
		if err != nil {
			return 0, fmt.Errorf("POST %s: %w", path, err)
		}
		var made struct {
			ID int64 `json:"id"`
		}
		switch {
		case a.status == http.StatusCreated && json.Unmarshal(a.body, &made) == nil && made.ID > 0:
			return made.ID, nil
		case a.status == http.StatusServiceUnavailable:
			if err = pause(ctx, repeatPause); err != nil {
				return 0, err
			}
		case repeat > 0 && a.status == http.StatusConflict && a.code() == "name_taken":
			return 0, errNameTaken
		default:
			return 0, fmt.Errorf("POST %s: status %d: %s", path, a.status, a.body)
		}
	}
	return 0, fmt.Errorf("POST %s: no definite answer after %d requests", path, maxRepeats)
}

// couponIDs reads the whole list of coupons: their ids by name.
func (c *client) couponIDs(ctx context.Context) (map[string]int64, error) {
	ids := map[string]int64{}
	for cursor := ""; ; {
		a, err := c.send(ctx, http.MethodGet, "/v1/coupons?limit=100"+cursor, "", "", nil)
		if err != nil {
			return nil, fmt.Errorf("GET /v1/coupons: %w", err)
		}
		var page struct {
			Items []struct {
				ID   int64  `json:"id"`
				Name string `json:"name"`
			} `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &page) != nil {
			return nil, fmt.Errorf("GET /v1/coupons: status %d: %s", a.status, a.body)
		}
		for _, item := range page.Items {
			ids[item.Name] = item.ID
		}
		if page.NextCursor == "" {
			return ids, nil
		}
		cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
	}
}

// pause waits, or returns why it need not.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
