package httpapi

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// instant is a desk that answers at once.
type instant struct{ out admission.Outcome }

func (i instant) Claim(context.Context, int64, string, string) (admission.Outcome, error) {
	return i.out, nil
}

// sink is a connection that nobody reads.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

func benchmark(b *testing.B, out admission.Outcome, users int) {
	b.Helper()
	const secret = "0123456789abcdef0123456789abcdef"
	tokens, err := auth.New(auth.Options{Secret: []byte(secret), Now: time.Now})
	require.NoError(b, err)
	a := newAPI(b, func(d *Deps) { d.Tokens, d.Claims = tokens, instant{out} })
	requests := make([]*http.Request, users)
	for i := range requests {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": "u-" + id(int64(i)), "roles": []string{"user"}, "exp": time.Now().Add(time.Hour).Unix(),
		}).SignedString([]byte(secret))
		require.NoError(b, err)
		requests[i], err = http.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/coupons/7423911234567/issues", http.NoBody)
		require.NoError(b, err)
		requests[i].Header.Set("Authorization", "Bearer "+token)
	}
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		clear(w.header)
		a.handler.ServeHTTP(w, requests[i%users])
	}
}

// What a claim costs between net/http and the desk: nearly all of it is the token the first time, and gin's and the
// generated wrapper's reading of the path afterwards.
func BenchmarkReceiptKnownToken(b *testing.B) { benchmark(b, admitted(57), 1) }

func BenchmarkReceiptNewToken(b *testing.B) { benchmark(b, admitted(57), 1<<16) }

func BenchmarkSoldOut(b *testing.B) { benchmark(b, refusedWith(coupon.SoldOut), 1) }
