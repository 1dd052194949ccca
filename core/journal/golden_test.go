package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// golden are the places whose records are pinned in testdata/golden: what another build has written must be read, and
// what this one writes must be readable to another. A change here is a change of the outside contract.
func golden() map[string]coupon.Place {
	return map[string]coupon.Place{
		"limit_one.json": {
			CouponID: 7, UserID: "u-81", Nth: 1, Seq: 57, Epoch: 3,
			AcceptedAt: time.Date(2026, 11, 20, 12, 0, 0, 123_000, time.UTC),
		},
		"with_key.json": {
			CouponID: 7, UserID: "u-81", Nth: 2, Seq: 58, Epoch: 3,
			AcceptedAt: time.Date(2026, 11, 20, 12, 0, 0, 123_000, time.UTC), Key: "order:2026-11-20.4_a",
		},
		"whole_second.json": {
			CouponID: 1, UserID: "A", Nth: 1, Seq: 1, Epoch: 1,
			AcceptedAt: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		},
		"greatest.json": {
			CouponID: coupon.MaxID, UserID: strings.Repeat("@", 64), Nth: 100, Seq: coupon.MaxID, Epoch: coupon.MaxID,
			AcceptedAt: time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), Key: strings.Repeat(":", 64),
		},
	}
}

func TestTheRecordOfAPlaceHasTheseBytes(t *testing.T) {
	t.Parallel()
	for name, place := range golden() {
		record, err := os.ReadFile(filepath.Join("testdata", "golden", name))
		require.NoError(t, err)
		require.NoError(t, Check(place), name)
		assert.Equal(t, string(record), string(Encode(nil, place)), name)
		read, err := Decode(record)
		require.NoError(t, err, name)
		assert.Equal(t, place, read, name)
		assert.LessOrEqual(t, len(record), 288, "the longest record, as the comment on MaxRecord has it")
	}
	assert.Equal(t, 288, len(Encode(nil, golden()["greatest.json"])))
}

func TestARecordOfANewerMinorVersionIsRead(t *testing.T) {
	t.Parallel()
	record, err := os.ReadFile(filepath.Join("testdata", "newer_minor.json"))
	require.NoError(t, err)
	place, err := Decode(record)
	require.NoError(t, err)
	assert.Equal(t, golden()["with_key.json"], place)
}

func TestTimesOfOtherZonesAreTheSameInstantInUTC(t *testing.T) {
	t.Parallel()
	place := golden()["limit_one.json"]
	place.AcceptedAt = place.AcceptedAt.In(time.FixedZone("", 9*3600))
	record := Encode(nil, place)
	assert.Contains(t, string(record), `"2026-11-20T12:00:00.000123Z"`)
	read, err := Decode([]byte(strings.Replace(string(record), "12:00:00.000123Z", "21:00:00.000123+09:00", 1)))
	require.NoError(t, err)
	assert.Equal(t, golden()["limit_one.json"], read)
}

func TestEncodeAppends(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `x{"v":1,"`, string(Encode([]byte("x"), golden()["limit_one.json"])[:8+1]))
}
