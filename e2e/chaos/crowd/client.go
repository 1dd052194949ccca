// Package crowd is the clients of a run of chaos: users who claim, ask again, look after what they were promised, and
// admins who publish and change coupons. Each question goes into the history with its answer.
package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/firstcome/firstcome/e2e/chaos/history"
)

// answerWithin is how long a client waits: longer than the api's own answer timeout of 2 s.
const answerWithin = 4 * time.Second

// tokenLife is far longer than a run.
const tokenLife = 24 * time.Hour

// client asks the apis and writes down what it asked and heard.
type client struct {
	apis    []string
	secret  []byte
	history *history.Writer
	http    *http.Client
	resting func() bool
}

func newClient(apis []string, secret []byte, w *history.Writer, resting func() bool) *client {
	return &client{
		apis: apis, secret: secret, history: w, resting: resting,
		http: &http.Client{
			Timeout: answerWithin,
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 64, MaxIdleConns: 256, IdleConnTimeout: 5 * time.Second, ForceAttemptHTTP2: false,
			},
		},
	}
}

func (c *client) token(user string, admin bool) string {
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(tokenLife).Unix()}
	if admin {
		claims["roles"] = []string{"admin"}
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(c.secret)
	if err != nil {
		panic(fmt.Sprintf("sign with HS256: %v", err)) // only a key of the wrong type can do this
	}
	return signed
}

// answer holds every field that any answer has which matters here.
type answer struct {
	Code       string    `json:"code"`
	ID         int64     `json:"id"`
	CouponID   int64     `json:"coupon_id"`
	UserID     string    `json:"user_id"`
	Nth        int       `json:"nth"`
	Seq        int64     `json:"seq"`
	Status     any       `json:"status"` // a text, or the number of a problem
	AcceptedAt time.Time `json:"accepted_at"`
	Remaining  *int64    `json:"remaining"`
}

// do asks one api and fills in what it answered; the exchange is not written yet.
func (c *client) do(ctx context.Context, e *history.Exchange, method, path, token string, body any) answer {
	e.Rest = c.resting()
	e.From = time.Now()
	var a answer
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			e.Err = err.Error()
			return a
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.apis[e.API]+path, bytes.NewReader(text))
	if err != nil {
		e.Err = err.Error()
		return a
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if e.Key != "" {
		req.Header.Set("Idempotency-Key", e.Key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		e.Err = err.Error()
		return a
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	text, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		e.Err = fmt.Sprintf("answer %d without a whole body: %v", resp.StatusCode, err)
		return a // the status may have come before a cut: no answer
	}
	e.Status = resp.StatusCode
	e.Code = a.Code
	return a
}

// claim asks for a place.
func (c *client) claim(ctx context.Context, api int, coupon int64, user, key string) history.Exchange {
	e := history.Exchange{What: history.Claim, API: api, Coupon: coupon, User: user, Key: key}
	a := c.do(ctx, &e, http.MethodPost, fmt.Sprintf("/v1/coupons/%d/issues", coupon), c.token(user, false), nil)
	if e.Promised() {
		e.Nth, e.Seq, e.AcceptedAt = a.Nth, a.Seq, a.AcceptedAt
		if a.CouponID != coupon || a.UserID != user || a.Status != "accepted" {
			e.Err = fmt.Sprintf("a receipt for coupon %d, user %q, status %v", a.CouponID, a.UserID, a.Status)
		}
	}
	return c.history.Write(e)
}

// mine asks what became of the user's nth claim.
func (c *client) mine(ctx context.Context, api int, coupon int64, user string, nth int) history.Exchange {
	e := history.Exchange{What: history.Mine, API: api, Coupon: coupon, User: user, Nth: nth}
	a := c.do(ctx, &e, http.MethodGet, fmt.Sprintf("/v1/coupons/%d/issues/me?nth=%d", coupon, nth), c.token(user, false), nil)
	if e.Status == http.StatusOK {
		e.Issue, _ = a.Status.(string)
		if e.Issue != "rejected" {
			e.Nth, e.Seq, e.AcceptedAt = a.Nth, a.Seq, a.AcceptedAt
		}
	}
	return c.history.Write(e)
}

// look asks about a coupon.
func (c *client) look(ctx context.Context, api int, coupon int64) history.Exchange {
	e := history.Exchange{What: history.Look, API: api, Coupon: coupon}
	a := c.do(ctx, &e, http.MethodGet, fmt.Sprintf("/v1/coupons/%d", coupon), "", nil)
	if e.Status == http.StatusOK {
		e.Remaining = a.Remaining
	}
	return c.history.Write(e)
}

// publish creates a coupon and returns its id, 0 if that is not known.
func (c *client) publish(ctx context.Context, api int, body map[string]any, t history.Terms) (int64, history.Exchange) {
	e := history.Exchange{What: history.Publish, API: api, Terms: &t}
	a := c.do(ctx, &e, http.MethodPost, "/v1/admin/coupons", c.token("root", true), body)
	if e.Status == http.StatusCreated {
		e.Coupon = a.ID
	}
	return e.Coupon, c.history.Write(e)
}

// change changes a coupon.
func (c *client) change(ctx context.Context, api int, coupon int64, t history.Terms) history.Exchange {
	body := map[string]any{"reason": "chaos"}
	if t.Total != nil {
		body["total_quantity"] = *t.Total
		if *t.Total == history.Unlimited {
			body["total_quantity"] = nil
		}
	}
	if t.State != "" {
		body["state"] = t.State
	}
	if t.OpensAt != nil {
		body["opens_at"] = t.OpensAt.Format(time.RFC3339Nano)
	}
	if t.ClosesAt != nil {
		body["closes_at"] = t.ClosesAt.Format(time.RFC3339Nano)
	}
	e := history.Exchange{What: history.Change, API: api, Coupon: coupon, Terms: &t}
	c.do(ctx, &e, http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", coupon), c.token("root", true), body)
	return c.history.Write(e)
}

// create makes a vendor or an event; 0: not known.
func (c *client) create(ctx context.Context, api int, path string, body map[string]any) (int64, error) {
	e := history.Exchange{API: api}
	a := c.do(ctx, &e, http.MethodPost, path, c.token("root", true), body)
	if e.Status != http.StatusCreated {
		return 0, fmt.Errorf("POST %s: %d %s%s", path, e.Status, e.Code, e.Err)
	}
	return a.ID, nil
}
