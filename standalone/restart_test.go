package standalone_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The embedded Redis forgets everything at a stop; users must not notice.
func TestARestartKeepsEveryReceiptAndGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	first := start(t, cfg)
	now := time.Now().UTC()
	vendor := first.admin(t, http.StatusCreated, http.MethodPost, "/v1/admin/vendors", map[string]any{"name": "Bakery 빵집"})["id"]
	coupon := func(name string, total, limit int) string {
		body := map[string]any{
			"name": name, "vendor_id": vendor, "total_quantity": total, "per_user_limit": limit,
			"opens_at": now.Add(-time.Hour), "closes_at": now.Add(time.Hour),
		}
		return fmt.Sprint(first.admin(t, http.StatusCreated, http.MethodPost, "/v1/admin/coupons", body)["id"])
	}
	scarce, plenty := coupon("scarce", 3, 1), coupon("plenty", 100, 1)

	receipts := map[string]map[string]any{} // by coupon and user
	for i := range 5 {
		user := fmt.Sprintf("user-%d", i)
		status, answer := first.claim(t, user, scarce)
		if i < 3 {
			require.Equal(t, http.StatusAccepted, status, "%v", answer)
			receipts[scarce+user] = answer
		} else {
			require.Equal(t, http.StatusConflict, status, "%v", answer)
			require.Equal(t, "sold_out", answer["code"])
		}
		status, answer = first.claim(t, user, plenty)
		require.Equal(t, http.StatusAccepted, status, "%v", answer)
		receipts[plenty+user] = answer
	}
	first.stop()

	second := start(t, cfg)
	assert.NotEqual(t, first.Redis, "", "another server")
	began := time.Now()
	for i := range 3 {
		for _, id := range []string{scarce, plenty} {
			user := fmt.Sprintf("user-%d", i)
			status, answer := second.claim(t, user, id)
			require.Equal(t, http.StatusOK, status, "%v", answer)
			assert.Equal(t, receipts[id+user]["seq"], answer["seq"])
			assert.Equal(t, receipts[id+user]["accepted_at"], answer["accepted_at"])
		}
	}
	t.Logf("all gates decide again %v after the start", time.Since(began))

	status, answer := second.claim(t, "late", scarce)
	assert.Equal(t, http.StatusConflict, status)
	assert.Equal(t, "sold_out", answer["code"])
	status, answer = second.claim(t, "late", plenty)
	assert.Equal(t, http.StatusAccepted, status)
	assert.Equal(t, json.Number("6"), answer["seq"])

	second.admin(t, http.StatusOK, http.MethodPatch, "/v1/admin/coupons/"+scarce, map[string]any{"total_quantity": 4, "reason": "one more"})
	require.Eventually(t, func() bool {
		status, answer = second.claim(t, "late", scarce)
		return status == http.StatusAccepted
	}, 10*time.Second, 20*time.Millisecond, "a raise holds within M")
	assert.Equal(t, json.Number("4"), answer["seq"])
	require.Eventually(t, func() bool {
		_, answer = second.send(t, "late", "", http.MethodGet, "/v1/coupons/"+scarce+"/issues/me", nil)
		return answer["status"] == "issued"
	}, 10*time.Second, 20*time.Millisecond, "accepted becomes issued")
}
