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

// create posts something of the admin's and returns its id.
func (c *client) create(ctx context.Context, path, token string, body any) (int64, error) {
	a, err := c.send(ctx, http.MethodPost, path, token, "", body)
	if err != nil {
		return 0, fmt.Errorf("POST %s: %w", path, err)
	}
	var made struct {
		ID int64 `json:"id"`
	}
	if a.status != http.StatusCreated || json.Unmarshal(a.body, &made) != nil || made.ID == 0 {
		return 0, fmt.Errorf("POST %s: status %d: %s", path, a.status, a.body)
	}
	return made.ID, nil
}
