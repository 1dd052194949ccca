package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/chaos/check"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// sound are books of three coupons, two of them of an event, in which nothing is wrong, and the promises that led there.
func sound() (books, []check.Promise) {
	b := books{coupons: map[int64]*coupon{}, failed: map[position]string{}}
	add := func(id, event int64, limit int, users ...string) {
		c := &coupon{id: id, event: event, tag: "c1", total: 3, issued: int64(len(users)), limit: limit, rows: map[place]row{}}
		c.gate = gate{state: "open", admitted: c.issued, holders: map[place]holder{}}
		for i, user := range users {
			p, seq := place{user, 1}, int64(i+1)
			c.rows[p] = row{seq: seq, accepted: noon}
			c.gate.holders[p] = holder{seq: seq, accepted: noon.UnixMicro()}
			b.records = append(b.records, record{partition: int32(id), offset: int64(i), coupon: id, place: p, seq: seq})
		}
		b.coupons[id] = c
	}
	add(1, 0, 1, "a", "b", "c")
	add(2, 9, 1, "a")
	add(3, 9, 1, "b")
	for _, id := range []int64{2, 3} {
		b.coupons[id].gate.members, b.coupons[id].gate.membersN = []string{"a", "b"}, 2
	}
	// A record that became a failed event, and one that is a duplicate of a row.
	b.records = append(b.records, record{partition: 7, offset: 1, bad: "not JSON"}, b.records[0])
	b.failed[position{7, 1}] = "undecodable"
	return b, []check.Promise{{Coupon: 1, User: "a", Nth: 1, Seq: 1, AcceptedAt: noon}}
}

func TestSoundBooksHaveNoFindings(t *testing.T) {
	t.Parallel()
	b, promises := sound()
	r := newResult()
	r.compare(b, promises)
	require.Empty(t, r.Findings)
	require.Equal(t, 5, r.Rows)
}

// Each kind of damage is found, under the invariant that it breaks.
func TestEachDamageIsFound(t *testing.T) {
	t.Parallel()
	a := place{"a", 1}
	for name, c := range map[string]struct {
		rules  []string
		damage func(b *books, promises *[]check.Promise)
	}{
		"more rows than places":      {[]string{"I1"}, func(b *books, _ *[]check.Promise) { b.coupons[1].total = 2; b.coupons[1].gate.admitted = 3 }},
		"a counter that is off":      {[]string{"I1"}, func(b *books, _ *[]check.Promise) { b.coupons[1].issued = 2 }},
		"two coupons of an event":    {[]string{"I1", "I2", "I4", "I5"}, func(b *books, _ *[]check.Promise) { b.coupons[3].rows[a] = row{seq: 9, accepted: noon} }},
		"a promise without a row":    {[]string{"I3"}, func(_ *books, p *[]check.Promise) { (*p)[0].User = "z" }},
		"a promise of a lost coupon": {[]string{"I3"}, func(_ *books, p *[]check.Promise) { (*p)[0].Coupon = 5 }},
		"another number":             {[]string{"I6"}, func(_ *books, p *[]check.Promise) { (*p)[0].Seq = 2 }},
		"another time":               {[]string{"I6"}, func(_ *books, p *[]check.Promise) { (*p)[0].AcceptedAt = noon.Add(time.Microsecond) }},
		"a row without a record":     {[]string{"I4"}, func(b *books, _ *[]check.Promise) { b.records = b.records[1:4] }},
		"a record without an end": {[]string{"I4"}, func(b *books, _ *[]check.Promise) {
			b.records = append(b.records, record{partition: 2, offset: 8, coupon: 1, place: place{"z", 1}, seq: 8})
		}},
		"a broken record without an end": {[]string{"I4"}, func(b *books, _ *[]check.Promise) { b.failed = nil }},
		"a place without a row": {[]string{"I5"}, func(b *books, _ *[]check.Promise) {
			b.coupons[1].gate.admitted, b.coupons[1].gate.holders[place{"z", 1}] = 4, holder{seq: 4}
			b.coupons[1].total = 9
		}},
		"a row without a place": {[]string{"I5"}, func(b *books, _ *[]check.Promise) { delete(b.coupons[1].gate.holders, a) }},
		"a place still pending": {[]string{"I5"}, func(b *books, _ *[]check.Promise) { b.coupons[1].gate.pending = 1 }},
		"a gate that is shut":   {[]string{"I5"}, func(b *books, _ *[]check.Promise) { b.coupons[1].gate.state = "mark" }},
		"a gate with another number": {[]string{"I6"}, func(b *books, _ *[]check.Promise) {
			b.coupons[1].gate.holders[a] = holder{seq: 7, accepted: noon.UnixMicro()}
		}},
		"a member forgotten": {[]string{"I5"}, func(b *books, _ *[]check.Promise) {
			for _, id := range []int64{2, 3} {
				b.coupons[id].gate.members, b.coupons[id].gate.membersN = []string{"b"}, 1
			}
		}},
		"one number twice": {[]string{"I6"}, func(b *books, p *[]check.Promise) {
			*p = nil
			b.coupons[1].rows[a] = row{seq: 2, accepted: noon}
			b.coupons[1].gate.holders[a] = holder{seq: 2, accepted: noon.UnixMicro()}
			b.records[0].seq = 2
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, promises := sound()
			c.damage(&b, &promises)
			r := newResult()
			r.compare(b, promises)
			var rules []string
			for rule := range r.Count {
				rules = append(rules, rule)
			}
			require.ElementsMatch(t, c.rules, rules, "%v", r.Findings)
		})
	}
}
