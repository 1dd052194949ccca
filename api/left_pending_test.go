package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/coupon"
)

// An api that dies between gate and journal leaves a place that nobody speaks of again if its user does not come back.
func TestAPlaceThatADeadApiLeftIsSettledWithoutItsUser(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	s.cfg.Admission.AnswerTimeout = 50 * time.Millisecond
	s.cfg.Sweeper.Age, s.cfg.Sweeper.Every = 50*time.Millisecond, 50*time.Millisecond
	r := s.run(t)
	id := r.coupon(r.vendor(), "coffee", `"total_quantity":1`)

	c, err := s.book.Coupon(t.Context(), id)
	require.NoError(t, err)
	gate, err := redisgate.Open(t.Context(), redisgate.Config{Mode: s.cfg.Redis.Mode, Addrs: s.cfg.Redis.Addrs}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, gate.Close()) }()
	answers := gate.Admit(t.Context(), []admission.Call{{Ref: c.Ref(nil), Asks: []admission.Ask{{UserID: "alice"}}}})
	require.NoError(t, answers[0].Err)
	require.Equal(t, coupon.Admitted, answers[0].Decisions[0].Verdict)

	me := fmt.Sprintf("/v1/coupons/%d/issues/me", id)
	require.Eventually(t, func() bool {
		return r.must(http.MethodGet, me, token(t, "alice"), "").status == http.StatusOK
	}, 10*time.Second, 20*time.Millisecond)
	var kept []coupon.Place
	for _, records := range s.places(t) {
		for _, record := range records {
			kept = append(kept, record.Place)
		}
	}
	require.NotEmpty(t, kept, "settled, so it is in the journal")
	assert.Equal(t, "alice", kept[0].UserID)
	assert.EqualValues(t, 1, kept[0].Seq)
}
