package loadgen_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/bench/loadgen"
)

func TestEveryRequestIsSentOnceAndCounted(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	var seen [100]atomic.Int64
	res, err := loadgen.Run(t.Context(), loadgen.Load{
		Requests: len(seen), Connections: 8,
		Make:   func(int) (*http.Request, error) { return http.NewRequest(http.MethodGet, server.URL, nil) }, //nolint:noctx // Run sets it
		Answer: func(i, _ int, _ []byte) { seen[i].Add(1) },
	})
	require.NoError(t, err)
	require.Equal(t, map[int]int{http.StatusOK: 50, http.StatusTeapot: 50}, res.Status)
	require.EqualValues(t, 100, served.Load())
	require.EqualValues(t, 100, res.Latencies.TotalCount())
	for i := range seen {
		require.EqualValues(t, 1, seen[i].Load(), "request %d", i)
	}
}
