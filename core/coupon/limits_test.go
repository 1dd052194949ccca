package coupon_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

func good() coupon.Coupon {
	return coupon.Coupon{
		ID: 1, VendorID: 1, Name: "Free bread", Kind: coupon.FirstComeIssue, PerUserLimit: 1,
		Terms: coupon.Terms{State: coupon.StateOpen, OpensAt: noon, ClosesAt: noon.Add(time.Hour)},
	}
}

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	require.NoError(t, good().Validate())
	for field, breakIt := range map[string][]func(*coupon.Coupon){
		"name": {
			func(c *coupon.Coupon) { c.Name = "" },
			func(c *coupon.Coupon) { c.Name = "  " },
			func(c *coupon.Coupon) { c.Name = strings.Repeat("가", 101) },
			func(c *coupon.Coupon) { c.Name = "a\x00b" },
			func(c *coupon.Coupon) { c.Name = "\xff" },
		},
		"vendor_id": {func(c *coupon.Coupon) { c.VendorID = 0 }, func(c *coupon.Coupon) { c.VendorID = coupon.MaxID + 1 }},
		"event_id":  {func(c *coupon.Coupon) { c.EventID = -1 }},
		"kind":      {func(c *coupon.Coupon) { c.Kind = "third" }},
		"per_user_limit": {
			func(c *coupon.Coupon) { c.PerUserLimit = 0 },
			func(c *coupon.Coupon) { c.PerUserLimit = 101 },
			func(c *coupon.Coupon) { c.PerUserLimit, c.EventID = 2, 5 },
		},
		"discount_value": {
			func(c *coupon.Coupon) { c.DiscountType = coupon.DiscountPercent },
			func(c *coupon.Coupon) { c.DiscountType, c.DiscountValue = coupon.DiscountPercent, 101 },
			func(c *coupon.Coupon) { c.DiscountType = coupon.DiscountFixed },
		},
		"discount_type":    {func(c *coupon.Coupon) { c.DiscountValue = 5 }},
		"min_order_amount": {func(c *coupon.Coupon) { c.MinOrderAmount = -1 }},
		"valid_for_days":   {func(c *coupon.Coupon) { c.ValidForDays = -1 }},
		"max_uses":         {func(c *coupon.Coupon) { c.MaxUses = places(0) }},
		"total_quantity": {
			func(c *coupon.Coupon) { c.Total = places(0) },
			func(c *coupon.Coupon) { c.Total = places(coupon.MaxQuantity + 1) },
		},
		"state":     {func(c *coupon.Coupon) { c.State = "ajar" }},
		"opens_at":  {func(c *coupon.Coupon) { c.OpensAt = time.Time{} }},
		"closes_at": {func(c *coupon.Coupon) { c.ClosesAt = c.OpensAt }},
	} {
		for _, change := range breakIt {
			c := good()
			change(&c)
			var bad *coupon.FieldError
			err := c.Validate()
			require.True(t, errors.As(err, &bad), "%s: %v", field, err)
			require.Equal(t, field, bad.Field)
		}
	}
	firstComeUse := good()
	firstComeUse.Kind, firstComeUse.EventID, firstComeUse.PerUserLimit = coupon.FirstComeUse, 5, 3
	require.NoError(t, firstComeUse.Validate(), "a first-come-use coupon does not count for the event")
}

func TestUserIDsAndKeysAreBounded(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "u-81", "Alice@example.com", "a:b._-", strings.Repeat("x", 64)} {
		require.True(t, coupon.ValidUserID(id), id)
	}
	for _, id := range []string{"", strings.Repeat("x", 65), "a b", "a\n", "é", "a\x1fb", "a/b"} {
		require.False(t, coupon.ValidUserID(id), "%q", id)
	}
	require.True(t, coupon.ValidKey("retry-1"))
	require.False(t, coupon.ValidKey("a@b"), "no @ in a key")
}

func TestIDsAreBelow53BitsAndGrowWithTime(t *testing.T) {
	t.Parallel()
	last := int64(0)
	for _, at := range []time.Time{noon, noon.Add(time.Millisecond), noon.AddDate(40, 0, 0), noon.AddDate(68, 0, 0)} {
		id := coupon.NewID(at)
		require.Greater(t, id, last)
		require.LessOrEqual(t, id, int64(coupon.MaxID))
		require.Equal(t, at, coupon.MintedAt(id))
		last = id
	}
}

func TestBarrierLooksAtTheOffsetAndNotAtTheEpochAlone(t *testing.T) {
	t.Parallel()
	b := coupon.Barriers{"c1": {{Epoch: 2, Ends: map[int32]int64{0: 10}}, {Epoch: 4, Ends: map[int32]int64{0: 20, 1: 5}}}}
	require.False(t, b.Overtaken("c1", 1, 9, 0, 9), "before the barrier an old record is good")
	require.True(t, b.Overtaken("c1", 1, 9, 0, 10), "at the noted end it is overtaken")
	require.False(t, b.Overtaken("c1", 2, 9, 0, 19), "only barriers of a greater epoch count")
	require.True(t, b.Overtaken("c1", 3, 9, 0, 20))
	require.False(t, b.Overtaken("c1", 3, 3, 0, 20), "barriers above upTo do not count")
	require.True(t, b.Overtaken("c1", 1, 9, 1, 0), "a partition that is missing was noted at 0")
	require.False(t, b.Overtaken("c2", 1, 9, 0, 10), "of this tag only")
}

func TestUnsoundErrorMatches(t *testing.T) {
	t.Parallel()
	var err error = &coupon.UnsoundError{Tag: "c1", Why: coupon.WhyHolders}
	require.ErrorIs(t, err, coupon.ErrUnsound)
	require.Equal(t, "gate c1 is not sound: holders", err.Error())
}
