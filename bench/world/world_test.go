package world_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/bench/world"
)

func TestProcessorTimeRisesByWhatIsUsed(t *testing.T) {
	t.Parallel()
	before, err := world.ProcessorTime(os.Getpid())
	if os.IsNotExist(err) {
		t.Skip("no /proc on this system")
	}
	require.NoError(t, err)
	for until := time.Now().Add(10 * time.Second); ; {
		now, err := world.ProcessorTime(os.Getpid())
		require.NoError(t, err)
		if now >= before+50*time.Millisecond {
			return
		}
		require.True(t, time.Now().Before(until), "10 s of looking used %s", now-before)
	}
}

func TestMetricsAreReadAndTheirMeansTaken(t *testing.T) {
	t.Parallel()
	pages := []string{
		"# TYPE firstcome_x histogram\nfirstcome_x_sum{call=\"a\"} 1\nfirstcome_x_count{call=\"a\"} 1\nfirstcome_x_count{call=\"b\"} 7\ngo_gc 3\n",
		"firstcome_x_sum{call=\"a\"} 2.5\nfirstcome_x_count{call=\"a\"} 4\nfirstcome_x_count{call=\"b\"} 7e+0\n",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(pages[0])) // the reader looks
		pages = pages[1:]
	}))
	defer server.Close()
	r := &world.Role{Ops: server.URL}
	before, err := r.Metrics(t.Context())
	require.NoError(t, err)
	after, err := r.Metrics(t.Context())
	require.NoError(t, err)
	require.InDelta(t, 0.5, world.Mean(before, after, "firstcome_x", `"a"`), 1e-9)
	require.Zero(t, world.Mean(before, after, "firstcome_x", `"b"`))
	require.InDelta(t, 11, after.Sum("firstcome_x_count"), 1e-9)
}
