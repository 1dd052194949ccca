package world

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/publish"
)

// Admin makes events and coupons of one vendor by the product's own api.
type Admin struct {
	base   string
	token  string
	vendor int64
}

// adminTokenLife is longer than any run takes.
const adminTokenLife = 12 * time.Hour

// NewAdmin makes a vendor by the api at this address, whose tokens the secret signs.
func NewAdmin(ctx context.Context, addr string, secret []byte) (*Admin, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "bench", "roles": []string{"admin"}, "exp": time.Now().Add(adminTokenLife).Unix(),
	}).SignedString(secret)
	if err != nil {
		return nil, err
	}
	a := &Admin{base: "http://" + addr, token: token}
	a.vendor, err = a.create(ctx, "vendors", map[string]any{"name": unique("vendor")})
	return a, err
}

// Publish publishes a coupon that is open, with more fields than these.
func (a *Admin) Publish(ctx context.Context, fields map[string]any) (int64, error) {
	body := map[string]any{
		"name": unique("coupon"), "vendor_id": a.vendor, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2099-01-01T00:00:00Z",
	}
	maps.Copy(body, fields)
	return a.create(ctx, "coupons", body)
}

// Event makes an event.
func (a *Admin) Event(ctx context.Context) (int64, error) {
	return a.create(ctx, "events", map[string]any{
		"name": unique("event"), "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z",
	})
}

// Administer has coupons published by this api.
func (w *World) Administer(ctx context.Context, api *Role) (err error) {
	w.Admin, err = NewAdmin(ctx, api.Addr, w.Secret)
	return err
}

// PublishMany publishes so many coupons by the product's own code, 500 in a transaction and a round of calls to the gate: over
// the api it would take minutes.
func (w *World) PublishMany(ctx context.Context, n int) (err error) {
	book, err := ledger.Open(ctx, ledger.Config{DSN: w.DSN})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	gate, err := w.Gate(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	publisher := publish.New(publish.Deps{
		Book: book, Gate: gate, Refs: ledger.NewRefs(book, 0), OnUnsound: func(coupon.UnsoundError) {}, Log: slog.New(slog.DiscardHandler),
	})
	coupons := make([]coupon.Coupon, n)
	for i := range coupons {
		coupons[i] = coupon.Coupon{
			VendorID: w.vendor, Name: unique("coupon"), Kind: coupon.FirstComeIssue, PerUserLimit: 1,
			Terms: coupon.Terms{State: coupon.StateOpen, OpensAt: time.Now().Add(-time.Hour), ClosesAt: time.Now().Add(adminTokenLife)},
		}
	}
	for _, result := range publisher.Coupons(ctx, coupons) {
		if result.Err != nil {
			return fmt.Errorf("publish many: %w", result.Err)
		}
	}
	return nil
}

func unique(what string) string { return what + " " + rand.Text() }

func (a *Admin) create(ctx context.Context, what string, body map[string]any) (int64, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/v1/admin/"+what, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusCreated {
		return 0, errors.Join(fmt.Errorf("make one of %s: %d %s", what, resp.StatusCode, answer), err)
	}
	var made struct {
		ID int64 `json:"id"`
	}
	return made.ID, json.Unmarshal(answer, &made)
}
