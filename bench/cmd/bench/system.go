package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	"github.com/golang-jwt/jwt/v5"

	"github.com/firstcome/firstcome/bench/loadgen"
)

// system is the running firstcome.
type system struct {
	apis   []string
	secret []byte
	db     *sql.DB
	vendor int64
}

func connect(ctx context.Context) (*system, error) {
	get := func(name string) (string, error) {
		if value := os.Getenv(name); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("%s is not set: `make up` first, then `make bench` reads .run/env", name)
	}
	addrs, err1 := get("FIRSTCOME_API_ADDRS")
	secret, err2 := get("FIRSTCOME_AUTH_HS256_SECRET")
	dsn, err3 := get("FIRSTCOME_DATABASE_DSN")
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	s := &system{apis: strings.Split(addrs, ","), secret: []byte(secret), db: db}
	for i, addr := range s.apis {
		if !strings.Contains(addr, "://") {
			s.apis[i] = "http://" + addr
		}
	}
	s.vendor, err = s.create(ctx, "/v1/admin/vendors", map[string]any{"name": fmt.Sprintf("bench %d", time.Now().UnixNano())})
	return s, err
}

func (s *system) close() { _ = s.db.Close() } // nothing was written over it

func (s *system) token(user string) string {
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "roles": []string{"admin"}, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(s.secret)
	if err != nil {
		panic(err) // only a key of the wrong type can do this
	}
	return signed
}

func (s *system) create(ctx context.Context, path string, body any) (int64, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.apis[0]+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token("bench"))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		return 0, fmt.Errorf("%s: %d %s: %w", path, resp.StatusCode, answer, err)
	}
	var made struct {
		ID int64 `json:"id"`
	}
	return made.ID, json.Unmarshal(answer, &made)
}

func claimRequest(ctx context.Context, base string, coupon int64, token string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/v1/coupons/%d/issues", base, coupon), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// drainWithin bounds the wait for the last row.
const drainWithin = 2 * time.Minute

// round sends as many claims as there are places and checks what became of them. It returns the rate of answers and of
// rows, both from the first request on.
func (s *system) round(ctx context.Context, requests, connections int) (loadgen.Result, float64, error) {
	coupon, err := s.create(ctx, "/v1/admin/coupons", map[string]any{
		"name": fmt.Sprintf("bench %d", time.Now().UnixNano()), "vendor_id": s.vendor, "total_quantity": requests,
		"opens_at": "2026-01-01T00:00:00Z", "closes_at": "2099-01-01T00:00:00Z",
	})
	if err != nil {
		return loadgen.Result{}, 0, err
	}
	var mu sync.Mutex
	seqs := make(map[int64]bool, requests)
	wrong := 0
	began := time.Now()
	prepared := began
	res, err := loadgen.Run(ctx, loadgen.Load{
		Requests: requests, Connections: connections,
		Make: func(i int) (*http.Request, error) {
			if i == requests-1 {
				defer func() { prepared = time.Now() }()
			}
			return claimRequest(ctx, s.apis[i%len(s.apis)], coupon, s.token(fmt.Sprintf("u-%d-%d", coupon, i)))
		},
		Answer: func(_, status int, body []byte) {
			var receipt struct {
				Seq int64 `json:"seq"`
			}
			unreadable := json.Unmarshal(body, &receipt)
			mu.Lock()
			defer mu.Unlock()
			if status != http.StatusAccepted || unreadable != nil || seqs[receipt.Seq] {
				wrong++
			}
			seqs[receipt.Seq] = true
		},
	})
	if err != nil {
		return res, 0, err
	}
	if wrong > 0 || res.Errors > 0 || len(seqs) != requests {
		return res, 0, fmt.Errorf("wrong outcome: %d wrong answers, %d errors, %d numbers of %d", wrong, res.Errors, len(seqs), requests)
	}
	rows := 0
	for deadline := time.Now().Add(drainWithin); rows < requests; {
		if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon).Scan(&rows); err != nil {
			return res, 0, err
		}
		if time.Now().After(deadline) {
			return res, 0, fmt.Errorf("only %d of %d rows after %s", rows, requests, drainWithin)
		}
	}
	return res, float64(requests) / time.Since(prepared).Seconds(), nil
}
