package httpapi

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

func place(nth int, seq int64) coupon.Place {
	return coupon.Place{CouponID: 7, UserID: "alice", Nth: nth, Seq: seq, Epoch: 1, AcceptedAt: gateNow.Add(time.Duration(seq) * time.Second)}
}

func row(nth int, seq int64, status coupon.IssueStatus) coupon.Issue {
	return coupon.Issue{Place: place(nth, seq), Status: status, IssuedAt: gateNow.Add(time.Minute)}
}

func rejectedEvent(payload string) coupon.FailedEvent {
	return coupon.FailedEvent{ID: 12, CouponID: 7, UserID: "alice", Reason: coupon.FailOverCap, Status: coupon.FailedWaiting, Payload: []byte(payload)}
}

// TestWhatBecameOfAClaim goes through the order in which the answers are tried: each row has what the rows below it
// have, too, where that makes sense.
func TestWhatBecameOfAClaim(t *testing.T) {
	t.Parallel()
	unsound := &coupon.UnsoundError{Tag: "c7", Why: coupon.WhyNoGate}
	for name, c := range map[string]struct {
		rows    []coupon.Issue
		held    holding
		gateErr error
		failed  bool
		limit   int
		query   string

		status int
		says   string // status of the claim, or code
		nth    any
	}{
		"a row wins over everything":        {rows: []coupon.Issue{row(1, 57, coupon.StatusUsed)}, gateErr: unsound, failed: true, status: 200, says: "used", nth: 1.0},
		"an issued row":                     {rows: []coupon.Issue{row(1, 57, coupon.StatusIssued)}, status: 200, says: "issued", nth: 1.0},
		"an expired row":                    {rows: []coupon.Issue{row(1, 57, coupon.StatusExpired)}, status: 200, says: "expired", nth: 1.0},
		"a revoked row":                     {rows: []coupon.Issue{row(1, 57, coupon.StatusRevoked)}, status: 200, says: "revoked", nth: 1.0},
		"a settled holder":                  {held: holding{place: place(1, 57), verdict: coupon.Holder}, failed: true, status: 200, says: "accepted", nth: 1.0},
		"a revoked holder without a row":    {held: holding{place: place(1, 57), verdict: coupon.Revoked}, failed: true, status: 200, says: "revoked", nth: 1.0},
		"a failed event, pending":           {held: holding{place: place(1, 57), verdict: coupon.Pending}, failed: true, status: 200, says: "rejected", nth: 1.0},
		"a failed event, gate lost":         {gateErr: unsound, failed: true, status: 200, says: "rejected"},
		"a failed event, gate sound":        {failed: true, status: 200, says: "rejected"},
		"pending":                           {held: holding{place: place(1, 57), verdict: coupon.Pending}, status: 503, says: "unavailable"},
		"gate lost":                         {gateErr: unsound, status: 503, says: "unavailable"},
		"gate not reachable":                {gateErr: errors.New("timeout"), status: 503, says: "unavailable"},
		"nothing":                           {status: 404, says: "no_issue"},
		"latest: the gate knows a later":    {limit: 3, rows: []coupon.Issue{row(1, 5, coupon.StatusUsed)}, held: holding{place: place(2, 57), verdict: coupon.Holder}, status: 200, says: "accepted", nth: 2.0},
		"latest: the later one is pending":  {limit: 3, rows: []coupon.Issue{row(1, 5, coupon.StatusUsed)}, held: holding{place: place(2, 57), verdict: coupon.Pending}, status: 503, says: "unavailable"},
		"latest: the gate knows no later":   {limit: 3, rows: []coupon.Issue{row(1, 5, coupon.StatusUsed)}, held: holding{place: place(1, 5), verdict: coupon.Holder}, status: 200, says: "used", nth: 1.0},
		"latest: gate lost, a row is there": {limit: 3, rows: []coupon.Issue{row(1, 5, coupon.StatusUsed)}, gateErr: unsound, status: 200, says: "used", nth: 1.0},
		"nth: the row":                      {limit: 3, query: "?nth=1", rows: []coupon.Issue{row(1, 5, coupon.StatusUsed), row(2, 9, coupon.StatusIssued)}, status: 200, says: "used", nth: 1.0},
		"nth: the holder":                   {limit: 3, query: "?nth=2", rows: []coupon.Issue{row(1, 5, coupon.StatusUsed)}, held: holding{place: place(2, 57), verdict: coupon.Holder}, status: 200, says: "accepted", nth: 2.0},
		"nth: never claimed":                {limit: 3, query: "?nth=3", rows: []coupon.Issue{row(1, 5, coupon.StatusUsed)}, status: 404, says: "no_issue"},
		"nth: its failed event":             {limit: 3, query: "?nth=2", failed: true, status: 200, says: "rejected", nth: 2.0},
		"nth: another's failed event":       {limit: 3, query: "?nth=3", failed: true, status: 404, says: "no_issue"},
	} {
		a := newAPI(t)
		a.rows, a.gateErr = c.rows, c.gateErr
		a.held["alice"] = c.held
		if c.failed {
			a.failed[12] = rejectedEvent("12") // newAPI's NthOf says its length: the second claim
		}
		if c.limit > 1 {
			several := sale(7)
			several.PerUserLimit = c.limit
			a.coupons[7] = several
		}
		got := a.do(ask{method: http.MethodGet, path: "/v1/coupons/7/issues/me" + c.query, token: "alice"})
		require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
		if c.status != http.StatusOK {
			assert.Equal(t, c.says, got.code(), name)
			continue
		}
		assert.Equal(t, c.says, got.doc["status"], name)
		assert.Equal(t, c.nth, got.doc["nth"], name)
		assert.Equal(t, c.says == "rejected", got.doc["reason"] == "over_cap", name)
		assert.Equal(t, "alice", got.doc["user_id"])
	}
}

func TestALostGateThatAReaderMeetsIsRebuilt(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.gateErr = &coupon.UnsoundError{Tag: "c7", Why: coupon.WhyForeign}
	a.do(ask{method: http.MethodGet, path: "/v1/coupons/7/issues/me", token: "alice"})
	assert.Equal(t, []coupon.UnsoundError{{Tag: "c7", Why: coupon.WhyForeign}}, a.unsound)
}

func TestACouponThatJoinedAnEventIsNoLostGate(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	ofEvent := sale(7)
	ofEvent.EventID = 5
	a.coupons[7] = ofEvent
	a.refs[7] = coupon.Ref{Tag: "e5", CouponID: 7} // as remembered: without the sibling that came since
	a.held["alice"] = holding{place: place(1, 57), verdict: coupon.Holder}
	a.views[7] = coupon.ViewAnswer{View: coupon.View{Terms: sale(7).Terms, Taken: 40, Now: gateNow}}
	got := a.do(ask{method: http.MethodGet, path: "/v1/coupons/7/issues/me", token: "alice"})
	assert.Equal(t, "accepted", got.doc["status"])
	got = a.do(ask{method: http.MethodGet, path: "/v1/coupons/7"})
	assert.EqualValues(t, 60, got.doc["remaining"])
	assert.Empty(t, a.unsound)
	assert.Equal(t, 2, a.refreshes)
}

func TestTheLedgerDownLeavesAClaimUnknown(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.held["alice"] = holding{place: place(1, 57), verdict: coupon.Holder}
	a.err = errors.New("connection refused")
	for _, path := range []string{"/v1/coupons/7/issues/me", "/v1/me/issues", "/v1/coupons", "/v1/coupons/7"} {
		got := a.do(ask{method: http.MethodGet, path: path, token: "alice"})
		assert.Equal(t, http.StatusServiceUnavailable, got.status, path)
		assert.NotContains(t, string(got.body), "refused")
	}
	a.outcome = admitted(1)
	got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"})
	assert.Equal(t, http.StatusAccepted, got.status, "claims do not need it")
}

func TestMyCouponsComeInPagesNewestFirst(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for n := range 5 {
		r := row(1, int64(n+1), coupon.StatusIssued)
		r.CouponID = int64(100 + n)
		r.ExpiresAt = gateNow.Add(24 * time.Hour)
		a.rows = append(a.rows, r)
	}
	other := row(1, 9, coupon.StatusIssued)
	other.UserID = "bob"
	a.rows = append(a.rows, other)

	var seen []float64
	path := "/v1/me/issues?limit=2"
	for range 3 {
		got := a.do(ask{method: http.MethodGet, path: path, token: "alice"})
		require.Equal(t, http.StatusOK, got.status)
		for _, item := range got.doc["items"].([]any) {
			seen = append(seen, item.(map[string]any)["coupon_id"].(float64))
		}
		next, more := got.doc["next_cursor"].(string)
		assert.Equal(t, len(seen) < 5, more)
		path = "/v1/me/issues?limit=2&cursor=" + next
	}
	assert.Equal(t, []float64{104, 103, 102, 101, 100}, seen)
	got := a.do(ask{method: http.MethodGet, path: "/v1/me/issues", token: "carol"})
	assert.JSONEq(t, `{"items":[]}`, string(got.body))
}
