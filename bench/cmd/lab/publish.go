package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// publish makes a vendor and a coupon by the product's own api.
func (e *experiment) publish(ctx context.Context, base string) (int64, error) {
	token, signed := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "lab", "roles": []string{"admin"}, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(e.settings.secret)
	if signed != nil {
		return 0, signed
	}
	create := func(path string, body map[string]any) (int64, error) {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(text))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		answer, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusCreated {
			return 0, errors.Join(fmt.Errorf("%s: %d %s", path, resp.StatusCode, answer), err)
		}
		var made struct {
			ID int64 `json:"id"`
		}
		return made.ID, json.Unmarshal(answer, &made)
	}
	name := fmt.Sprintf("lab %d", time.Now().UnixNano())
	vendor, err := create("/v1/admin/vendors", map[string]any{"name": name})
	if err != nil {
		return 0, err
	}
	return create("/v1/admin/coupons", map[string]any{
		"name": name, "vendor_id": vendor, "total_quantity": e.places,
		"opens_at": "2026-01-01T00:00:00Z", "closes_at": "2099-01-01T00:00:00Z",
	})
}
