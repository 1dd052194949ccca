package memgate

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Options of a gate.
type Options struct {
	Now func() time.Time // the clock that decides; nil is the host's
}

// Gate is a gate in memory. It is safe for use by many goroutines; one call at a time is decided, like in Redis.
type Gate struct {
	now func() time.Time

	mu     sync.Mutex
	server string // who this server is (rule 1); changes by a fault
	tags   map[string]*tag
}

var _ admission.Gate = (*Gate)(nil)

// New makes an empty gate.
func New(o Options) *Gate {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gate{now: o.Now, server: rand.Text(), tags: make(map[string]*tag)}
}

// tag is everything that one tag has.
type tag struct {
	gate    *gate // nil: absent
	coupons map[int64]*counters
	holders map[int64]map[slot]held
	pending map[int64]map[slot]time.Time
	members map[string]bool
	loads   map[coupon.Mark]*load
	leases  map[int64]lease
}

type gate struct {
	open       bool
	epoch      int64
	server     string
	token      string
	marked     time.Time
	generation int64
	membersN   int64
	couponsN   int64
}

// counters are a coupon's terms and counts.
type counters struct {
	terms    coupon.Terms
	waiting  *coupon.Terms // wider terms that hold from nextAt on
	nextAt   time.Time
	revision int64
	limit    int
	admitted int64
	returned int64
	pendingN int64
	lastSeq  int64
}

// slot is one place of a user; nth is 1 where the limit is 1.
type slot struct {
	user string
	nth  int
}

type held struct {
	seq     int64
	at      time.Time
	key     string
	revoked bool
}

type lease struct {
	owner string
	until time.Time
}

// load is what one attempt has loaded.
type load struct {
	holders map[int64]map[slot]held
	members map[string]bool
}

// of returns the tag's state and makes it where it is missing.
func (g *Gate) of(name string) *tag {
	t := g.tags[name]
	if t == nil {
		t = &tag{
			coupons: make(map[int64]*counters), holders: make(map[int64]map[slot]held),
			pending: make(map[int64]map[slot]time.Time), members: make(map[string]bool),
			loads: make(map[coupon.Mark]*load), leases: make(map[int64]lease),
		}
		g.tags[name] = t
	}
	return t
}

// clock is the instant that decides, in whole microseconds like Redis' TIME.
func (g *Gate) clock() time.Time { return micro(g.now()) }

func micro(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

func microTerms(t coupon.Terms) coupon.Terms {
	t.OpensAt, t.ClosesAt = micro(t.OpensAt), micro(t.ClosesAt)
	if t.Total != nil {
		total := *t.Total
		t.Total = &total
	}
	return t
}

// at are the terms that decide at an instant, and whether wider ones wait (rule 27).
func (c *counters) at(now time.Time) (coupon.Terms, *coupon.Terms) {
	if c.waiting != nil && !now.Before(c.nextAt) {
		return *c.waiting, nil
	}
	return c.terms, c.waiting
}

// soundGate tests the gate alone.
func (g *Gate) soundGate(name string) (*tag, error) {
	t := g.of(name)
	switch {
	case t.gate == nil:
		return nil, unsound(name, coupon.WhyNoGate)
	case !t.gate.open:
		return nil, unsound(name, coupon.WhyMarked)
	case t.gate.server != g.server:
		return nil, unsound(name, coupon.WhyForeign)
	}
	return t, nil
}

// soundEvent tests what the coupons of an event have in common.
func (t *tag) soundEvent(ref coupon.Ref) error {
	if ref.EventID == 0 {
		return nil
	}
	if t.gate.membersN != int64(len(t.members)) {
		return unsound(ref.Tag, coupon.WhyMembers)
	}
	var there int64
	for _, id := range ref.Siblings {
		if t.coupons[id] != nil {
			there++
		}
	}
	if t.gate.couponsN != there {
		return unsound(ref.Tag, coupon.WhyCoupons)
	}
	return nil
}

// sound is rule 2 whole, in the order in which the tests are answered.
func (g *Gate) sound(ref coupon.Ref) (*tag, *counters, error) {
	if err := checkRef(ref); err != nil {
		return nil, nil, err
	}
	t, err := g.soundGate(ref.Tag)
	if err != nil {
		return nil, nil, err
	}
	c := t.coupons[ref.CouponID]
	switch {
	case c == nil:
		return nil, nil, unsound(ref.Tag, coupon.WhyCoupon)
	case c.admitted+c.returned != int64(len(t.holders[ref.CouponID])):
		return nil, nil, unsound(ref.Tag, coupon.WhyHolders)
	case c.pendingN != int64(len(t.pending[ref.CouponID])):
		return nil, nil, unsound(ref.Tag, coupon.WhyPending)
	}
	return t, c, t.soundEvent(ref)
}

func unsound(tag string, why coupon.UnsoundWhy) error {
	return &coupon.UnsoundError{Tag: tag, Why: why}
}

// checkRef refuses what no gate could work with: the caller's mistake.
func checkRef(ref coupon.Ref) error {
	wrongLimit := ref.PerUserLimit < 1 || ref.PerUserLimit > coupon.MaxPerUserLimit
	wrongMember := ref.Member && (ref.EventID == 0 || ref.PerUserLimit != 1)
	wrongSiblings := ref.EventID != 0 && (len(ref.Siblings) == 0 || len(ref.Siblings) > coupon.MaxSiblings)
	if ref.Tag != coupon.TagOf(ref.CouponID, ref.EventID) || wrongLimit || wrongMember || wrongSiblings {
		return fmt.Errorf("memgate: impossible ref %+v", ref)
	}
	return nil
}

// slotOf is the slot of a place: where the limit is 1 nobody looks at nth.
func slotOf(ref coupon.Ref, user string, nth int) slot {
	if ref.PerUserLimit == 1 {
		nth = 1
	}
	return slot{user: user, nth: nth}
}
