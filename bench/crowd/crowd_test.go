package crowd_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/bench/crowd"
)

// TestMain is also the generator's process, as the harness' own program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == crowd.Subcommand {
		if err := crowd.Generate(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var secret = []byte("a secret of the test's own, long enough")

// desk answers claims; receipt makes the answer to the n-th of a user.
func desk(t *testing.T, answer func(n int64, user string) (int, string)) (target string) {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims jwt.RegisteredClaims
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return secret, nil }); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		status, body := answer(n.Add(1), claims.Subject)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body) // the client looks
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func send(t *testing.T, p crowd.Plan) crowd.Outcome {
	t.Helper()
	p.Connections, p.Coupon, p.Secret, p.Prefix = 4, 7, secret, "b"
	c, err := crowd.Gather(t.Context(), p)
	require.NoError(t, err)
	o, err := c.Go()
	require.NoError(t, err)
	return o
}

func receipt(n int64, user string) string {
	return fmt.Sprintf(`{"coupon_id":7,"user_id":"%s","nth":1,"seq":%d,"status":"accepted"}`, user, n)
}

func TestEachUserAsksOnceAndTheReceiptsAreKept(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 2000} {
		var given sync.Map
		target := desk(t, func(n int64, user string) (int, string) {
			given.Store(user, n)
			return http.StatusAccepted, receipt(n, user)
		})
		p := crowd.Plan{Targets: []string{target}, Users: 100, Rate: rate, Expect: crowd.Receipt, Prefix: "b"}
		o := send(t, p)
		require.NoError(t, o.Right())
		require.Equal(t, 100, o.Answered)
		require.Len(t, o.Seqs, 100)
		for i, seq := range o.Seqs {
			n, asked := given.Load(p.Name(i))
			require.True(t, asked, p.Name(i))
			require.Equal(t, n, seq)
		}
		require.Equal(t, rate > 0, len(o.Sent) == 100)
		require.Positive(t, o.Processor)
		require.GreaterOrEqual(t, o.Quantile(99), o.Quantile(50))
	}
}

// Whatever is not the answer that was expected is told, with the first of them.
func TestAWrongAnswerIsTold(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]struct {
		expect crowd.Expect
		status int
		body   func(n int64, user string) string
	}{
		"another user's receipt": {crowd.Receipt, http.StatusAccepted, func(n int64, user string) string { return receipt(n, user+"x") }},
		"no number":              {crowd.Receipt, http.StatusAccepted, func(_ int64, user string) string { return receipt(0, user) }},
		"no receipt":             {crowd.Receipt, http.StatusAccepted, func(int64, string) string { return "{}" }},
		"had it already":         {crowd.Receipt, http.StatusOK, receipt},
		"another refusal":        {crowd.SoldOut, http.StatusConflict, func(int64, string) string { return `{"code":"paused"}` }},
		"a receipt":              {crowd.SoldOut, http.StatusAccepted, receipt},
		"unavailable":            {crowd.Any202, http.StatusServiceUnavailable, receipt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := desk(t, func(n int64, user string) (int, string) { return wrong.status, wrong.body(n, user) })
			o := send(t, crowd.Plan{Targets: []string{target}, Users: 5, Expect: wrong.expect})
			require.Equal(t, 5, o.Wrong)
			require.ErrorContains(t, o.Right(), "5 wrong answers")
			require.NotEmpty(t, o.FirstWrong)
		})
	}
}

func TestAnUnknownOutcomeIsNoWrongAnswer(t *testing.T) {
	t.Parallel()
	target := desk(t, func(int64, string) (int, string) {
		return http.StatusServiceUnavailable, `{"status":503,"code":"unavailable"}`
	})
	o := send(t, crowd.Plan{Targets: []string{target}, Users: 5, Expect: crowd.Receipt})
	require.ErrorIs(t, o.Right(), crowd.ErrUnknown)
	require.Equal(t, 5, o.Unknown)
	require.Zero(t, o.Wrong)
}

func TestNoTwoUsersHaveTheSameName(t *testing.T) {
	t.Parallel()
	plan, seen := crowd.Plan{Prefix: "user.id-"}, map[string]bool{}
	for i := range 100_000 {
		name := plan.Name(i)
		require.Len(t, name, 16)
		require.False(t, seen[name], name)
		seen[name] = true
	}
}

func TestSoldOutIsARightAnswer(t *testing.T) {
	t.Parallel()
	target := desk(t, func(int64, string) (int, string) {
		return http.StatusConflict, `{"type":"about:blank","code":"sold_out","status":409}`
	})
	require.NoError(t, send(t, crowd.Plan{Targets: []string{target}, Users: 5, Expect: crowd.SoldOut}).Right())
}

func TestACrowdThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	_, err := crowd.Gather(t.Context(), crowd.Plan{Users: crowd.MaxUsers + 1})
	require.Error(t, err)
}
