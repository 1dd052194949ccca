package admission_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestAnswersAreCountedByVerdict(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish(sale(7, 1))
	s.publish(sale(8, 1))
	several := sale(9, 1)
	several.PerUserLimit = 2
	several.OpensAt = time.Now().Add(time.Hour)
	s.publish(several)
	claim := func(couponID int64, user, key string) {
		_, err := s.desk.Claim(t.Context(), couponID, user, key)
		_ = err // the counters tell
	}
	claim(7, "alice", "")  // accepted
	claim(7, "alice", "")  // repeated
	claim(7, "bob", "")    // sold out
	claim(9, "alice", "k") // not open
	claim(9, "alice", "")  // invalid: no key
	claim(6, "alice", "")  // invalid: no such coupon
	s.journal.set(func(j *journal) { j.fails = true })
	claim(8, "alice", "") // unknown
	s.mem.Flush("c8")
	claim(8, "alice", "") // unsound
	s.close()
	claim(7, "alice", "") // busy
	require.NoError(t, testutil.GatherAndCompare(s.registry, strings.NewReader(`
# HELP firstcome_admission_claims_total Answers to claims by verdict; accepted is a new place, repeated one the user had.
# TYPE firstcome_admission_claims_total counter
firstcome_admission_claims_total{verdict="accepted"} 1
firstcome_admission_claims_total{verdict="busy"} 1
firstcome_admission_claims_total{verdict="closed"} 0
firstcome_admission_claims_total{verdict="event_limit"} 0
firstcome_admission_claims_total{verdict="invalid"} 2
firstcome_admission_claims_total{verdict="not_open"} 1
firstcome_admission_claims_total{verdict="paused"} 0
firstcome_admission_claims_total{verdict="repeated"} 1
firstcome_admission_claims_total{verdict="revoked"} 0
firstcome_admission_claims_total{verdict="sold_out"} 1
firstcome_admission_claims_total{verdict="unknown"} 1
firstcome_admission_claims_total{verdict="unsound"} 1
firstcome_admission_claims_total{verdict="user_limit"} 0
`), "firstcome_admission_claims_total"))
}
