package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/api"
)

// The window is decided on Redis' clock to the microsecond, whatever the clock of the api's host says: here two apis
// whose hosts are wrong by a minute, one each way, answer alike at both edges.
func TestTheWindowIsRedisClockWhateverTheHostSays(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	wrong := func(by time.Duration) func(*api.Options) {
		return func(o *api.Options) { o.Now = func() time.Time { return time.Now().Add(by) } }
	}
	ahead, behind := s.run(t, wrong(time.Minute)), s.run(t, wrong(-time.Minute))

	opens := time.Now().UTC().Truncate(time.Microsecond).Add(10 * time.Second)
	closes := opens.Add(5 * time.Second)
	got := ahead.must(http.MethodPost, "/v1/admin/coupons", token(t, "boss", "admin"), fmt.Sprintf(
		`{"name":"window","vendor_id":%d,"opens_at":%q,"closes_at":%q}`, ahead.vendor(),
		opens.Format(time.RFC3339Nano), closes.Format(time.RFC3339Nano)))
	require.Equal(t, http.StatusCreated, got.status, "%v", got.doc)
	id := int64(got.doc["id"].(float64))

	users := 0
	for _, edge := range []struct {
		name   string
		at     time.Time
		status int
		state  string
	}{
		{"the last microsecond before", opens.Add(-time.Microsecond), http.StatusForbidden, "scheduled"},
		{"the first of the window", opens, http.StatusAccepted, "open"},
		{"the last of the window", closes.Add(-time.Microsecond), http.StatusAccepted, "open"},
		{"the first after", closes, http.StatusGone, "closed"},
	} {
		s.redis.SetTime(edge.at)
		for _, r := range []*running{ahead, behind} {
			users++
			got := r.claim(id, fmt.Sprintf("u-%d", users))
			require.Equal(t, edge.status, got.status, "%s: %v", edge.name, got.doc)
			at := edge.at.Format("2006-01-02T15:04:05.000000Z")
			switch edge.status {
			case http.StatusForbidden:
				assert.Equal(t, "not_open", got.code())
				assert.Equal(t, at, got.doc["server_time"], "the clock that decided")
				assert.Equal(t, "1", got.header.Get("Retry-After"), "rounded up to a second")
			case http.StatusAccepted:
				assert.Equal(t, at, got.doc["accepted_at"])
			}
			shown := r.must(http.MethodGet, fmt.Sprintf("/v1/coupons/%d", id), "", "")
			assert.Equal(t, edge.state, shown.doc["state"], edge.name)
		}
	}
}
