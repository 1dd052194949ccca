package loadgen_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/bench/loadgen"
)

// numbered asks for /0, /1, and so on.
func numbered(buf []byte, i int) []byte {
	return fmt.Appendf(buf, "GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i)
}

func serve(t *testing.T, handler http.HandlerFunc) (target string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestEveryRequestIsSentOnceAndCounted(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 5000} {
		t.Run(fmt.Sprintf("rate %.0f", rate), func(t *testing.T) {
			t.Parallel()
			var served, seen [100]atomic.Int64
			target := serve(t, func(w http.ResponseWriter, r *http.Request) {
				i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
				if err != nil {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				served[i].Add(1)
				if i%2 == 0 {
					w.WriteHeader(http.StatusTeapot)
				}
				_, _ = fmt.Fprint(w, i) // the client looks
			})
			res, err := loadgen.Run(t.Context(), loadgen.Load{
				Targets: []string{target, target}, Requests: len(seen), Connections: 8, Rate: rate, Append: numbered,
				Answer: func(i, _ int, body []byte) {
					if string(body) == strconv.Itoa(i) {
						seen[i].Add(1)
					}
				},
			})
			require.NoError(t, err)
			require.NoError(t, res.Err)
			require.Equal(t, map[int]int{http.StatusOK: 50, http.StatusTeapot: 50}, res.Status)
			require.EqualValues(t, 100, res.Latencies.TotalCount())
			for i := range seen {
				require.EqualValues(t, 1, served[i].Load(), "request %d", i)
				require.EqualValues(t, 1, seen[i].Load(), "answer %d", i)
			}
		})
	}
}

// A server that stalls once for 300 ms: the closed loop has one slow answer a connection, the open loop one for each
// request that was due meanwhile.
func TestAnOpenLoopShowsAStallToEverybodyWhoCameMeanwhile(t *testing.T) {
	t.Parallel()
	const stall, rate = 300 * time.Millisecond, 1000
	slow := func(rate float64) (slow int, late int) {
		var served atomic.Int64
		until := make(chan struct{})
		target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if served.Add(1) == 100 {
				time.AfterFunc(stall, func() { close(until) })
			}
			if served.Load() >= 100 {
				<-until
			}
			w.WriteHeader(http.StatusOK)
		})
		res, err := loadgen.Run(t.Context(), loadgen.Load{
			Targets: []string{target}, Requests: 800, Connections: 4, Rate: rate, Append: numbered,
		})
		require.NoError(t, err)
		require.Equal(t, map[int]int{http.StatusOK: 800}, res.Status)
		for _, bar := range res.Latencies.Distribution() {
			if bar.From >= (stall / 3).Microseconds() {
				slow += int(bar.Count)
			}
		}
		return slow, res.Late
	}
	slowOpen, late := slow(rate)
	require.GreaterOrEqual(t, slowOpen, 150, "200 requests were due in the first two thirds of the stall")
	require.GreaterOrEqual(t, late, 150, "and four connections could not send them")
	slowClosed, late := slow(0)
	require.LessOrEqual(t, slowClosed, 4)
	require.Zero(t, late)
}

func TestAnOpenLoopKeepsItsRate(t *testing.T) {
	t.Parallel()
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	res, err := loadgen.Run(t.Context(), loadgen.Load{
		Targets: []string{target}, Requests: 200, Connections: 16, Rate: 400, Append: numbered,
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, res.Elapsed, 199*time.Second/400)
	for i, sent := range res.Sent {
		require.GreaterOrEqual(t, int(sent), i*1_000_000/400-1, "request %d", i)
	}
}

func TestALoadEndsInTime(t *testing.T) {
	t.Parallel()
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	res, err := loadgen.Run(t.Context(), loadgen.Load{
		Targets: []string{target}, Requests: loadgen.MaxRequests, Connections: 2, For: 50 * time.Millisecond, Append: numbered,
	})
	require.NoError(t, err)
	require.Positive(t, res.Answered())
	require.Less(t, res.Answered(), loadgen.MaxRequests)
	require.Less(t, res.Elapsed, 5*time.Second)
}

// Every answer that would be measured wrongly is an error, and the next request goes over a new connection.
func TestAnAnswerOfAnotherFormIsAnError(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"in chunks":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"closing":            "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
		"without length":     "HTTP/1.1 200 OK\r\n\r\n",
		"of another version": "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"not final":          "HTTP/1.1 100 Continue\r\n\r\n",
		"cut off":            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		"of a broken length": "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"too long":           "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
		"no answer":          "",
		"no HTTP":            "+PONG\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := answerOnce(t, answer)
			res, err := loadgen.Run(t.Context(), loadgen.Load{Targets: []string{target}, Requests: 3, Connections: 1, Append: numbered})
			require.NoError(t, err)
			require.Equal(t, 1, res.Errors)
			require.Error(t, res.Err)
			require.Equal(t, map[int]int{http.StatusNoContent: 2}, res.Status, "what came after the wrong answer")
		})
	}
}

// answerOnce answers the first connection with these bytes and closes it; the others are served well.
func answerOnce(t *testing.T, answer string) (target string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() }) // nothing waits on it any more
	go func() {
		for first := true; ; first = false {
			conn, err := listener.Accept()
			if err != nil {
				return // closed by Cleanup
			}
			go answerAll(conn, first, answer)
		}
	}()
	return listener.Addr().String()
}

func answerAll(conn net.Conn, first bool, answer string) {
	defer conn.Close() //nolint:errcheck // the client looks at what came
	for r := bufio.NewReader(conn); ; {
		if _, err := http.ReadRequest(r); err != nil {
			return // the client is gone
		}
		if first {
			_, _ = conn.Write([]byte(answer)) // likewise
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nX: y\r\n\r\n")) // likewise
	}
}

func TestALoadThatIsGivenUpEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	target := serve(t, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-hang
	})
	t.Cleanup(func() { close(hang) }) // before the server's own
	_, err := loadgen.Run(ctx, loadgen.Load{Targets: []string{target}, Requests: 10, Connections: 2, Append: numbered})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAClaimIsARequestWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of the test's own, long enough")
	claims, err := loadgen.NewClaims(77, secret, 3, func(i int) string { return fmt.Sprintf("u-%d", i) })
	require.NoError(t, err)
	for i := range 3 {
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(claims.Append(nil, i)))))
		require.NoError(t, err)
		require.Equal(t, http.MethodPost, req.Method)
		require.Equal(t, "/v1/coupons/77/issues", req.URL.Path)
		token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		require.True(t, ok)
		var got jwt.RegisteredClaims
		_, err = jwt.ParseWithClaims(token, &got, func(*jwt.Token) (any, error) { return secret, nil },
			jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("u-%d", i), got.Subject)
	}
}
