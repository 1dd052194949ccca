package redisgate

import (
	"fmt"
	"strconv"

	"github.com/firstcome/firstcome/core/coupon"
)

// The parts of the key names. The tag stands in braces: Redis Cluster places a key by what is in them, so that
// everything that decides together is in one slot.
const (
	keyPrefix = "fc:{"
	keySuffix = "}:"
)

// nthSeparator parts user and nth in a holder's field. It cannot occur in a user id.
const nthSeparator = "\x1f"

// tagKeys makes the keys of one tag.
type tagKeys string

func keysOf(tag string) tagKeys { return tagKeys(keyPrefix + tag + keySuffix) }

func (k tagKeys) gate() string            { return string(k) + "gate" }
func (k tagKeys) members() string         { return string(k) + "members" }
func (k tagKeys) coupon(id int64) string  { return string(k) + "coupon:" + decimal(id) }
func (k tagKeys) holders(id int64) string { return string(k) + "holders:" + decimal(id) }
func (k tagKeys) pending(id int64) string { return string(k) + "pending:" + decimal(id) }
func (k tagKeys) sweeper(id int64) string { return string(k) + "sweeper:" + decimal(id) }
func (k tagKeys) load(m coupon.Mark) string {
	return string(k) + "load:" + decimal(m.Epoch) + ":" + m.Token + ":"
}

func (k tagKeys) loadMembers(m coupon.Mark) string { return k.load(m) + "members" }
func (k tagKeys) loadCalls(m coupon.Mark) string   { return k.load(m) + "calls" }
func (k tagKeys) loadHolders(m coupon.Mark, id int64) string {
	return k.load(m) + "holders:" + decimal(id)
}

// couponKeys are the keys every script about one coupon takes, in the order that lua/prelude.lua gives. spare is how
// many more the caller will append.
func couponKeys(ref coupon.Ref, spare int) []string {
	k := keysOf(ref.Tag)
	keys := make([]string, 0, 5+len(ref.Siblings)+spare)
	keys = append(keys, k.gate(), k.coupon(ref.CouponID), k.holders(ref.CouponID), k.pending(ref.CouponID))
	if ref.EventID == 0 {
		return keys
	}
	keys = append(keys, k.members())
	for _, id := range ref.Siblings {
		keys = append(keys, k.coupon(id))
	}
	return keys
}

// checkRef refuses what no script could work with. It is the caller's mistake, found before anything is sent.
func checkRef(ref coupon.Ref) error {
	switch {
	case ref.Tag != coupon.TagOf(ref.CouponID, ref.EventID):
		return fmt.Errorf("redisgate: coupon %d of event %d has the tag %q", ref.CouponID, ref.EventID, ref.Tag)
	case ref.PerUserLimit < 1 || ref.PerUserLimit > coupon.MaxPerUserLimit:
		return fmt.Errorf("redisgate: coupon %d has the per-user limit %d", ref.CouponID, ref.PerUserLimit)
	case ref.Member && (ref.EventID == 0 || ref.PerUserLimit != 1):
		return fmt.Errorf("redisgate: coupon %d counts for an event and has event %d and per-user limit %d",
			ref.CouponID, ref.EventID, ref.PerUserLimit)
	case ref.EventID != 0 && (len(ref.Siblings) == 0 || len(ref.Siblings) > coupon.MaxSiblings):
		return fmt.Errorf("redisgate: coupon %d of event %d has %d siblings", ref.CouponID, ref.EventID, len(ref.Siblings))
	}
	return nil
}

// fieldOf is the field of a holder: the user alone where the limit is 1.
func fieldOf(userID string, nth, limit int) string {
	if limit == 1 {
		return userID
	}
	return userID + nthSeparator + strconv.Itoa(nth)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
