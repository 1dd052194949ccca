// Package crowd makes up vendors, events, coupons and users, and what each user asks for. The same seed makes the same
// crowd, on every machine.
package crowd

import (
	"fmt"
	"math/rand/v2"
)

// Options of a crowd.
type Options struct {
	Seed    uint64
	Coupons int // at least 1; 0: DefaultCoupons
	Users   int // at least 1; 0: DefaultUsers
}

// The crowd of the demo.
const (
	DefaultCoupons = 1_000
	DefaultUsers   = 20_000
)

// Window says when a coupon can be claimed, as seen from the moment of the storm.
type Window uint8

// The windows.
const (
	Open     Window = iota
	Unopened        // opens tomorrow
	Closed          // closed an hour ago
)

// Coupon is one coupon to publish. Its Name is unique in the crowd.
type Coupon struct {
	Name          string
	Vendor        int // index into Crowd.Vendors
	Event         int // index into Crowd.Events; -1: of no event
	Window        Window
	Total         int64
	PerUserLimit  int
	DiscountType  string // "fixed" (won) or "percent"
	DiscountValue int64
	MinOrder      int64 // won
	Stackable     bool
	ValidForDays  int
}

// Unknown is the coupon index of an ask for a coupon that does not exist.
const Unknown = -1

// Ask is one claim.
type Ask struct {
	Coupon int    // index into Crowd.Coupons, or Unknown
	Key    string // Idempotency-Key; "" where the coupon's per-user limit is 1
	Twice  bool   // asked two times at the same moment
}

// User is one user and what they ask for, one after the other.
type User struct {
	ID   string
	Asks []Ask
}

// Crowd is everybody and everything. Names are unique among the vendors and among the events.
type Crowd struct {
	Vendors []string
	Events  []string
	Coupons []Coupon
	Users   []User
}

// What share of the coupons or users is special, in thousandths. Enough of each that every answer is seen often, few
// enough that most of the crowd just wants a coupon.
const (
	unopenedCoupons = 15
	closedCoupons   = 15
	eventCoupons    = 40
	manyCoupons     = 20 // with a per-user limit above 1

	askUnknown  = 10
	askUnopened = 20
	askClosed   = 20
	askEvent    = 50
	askMany     = 10
	askTwice    = 100
)

// couponsPerEvent, and how many a user may take of the coupons with a limit above 1.
const (
	couponsPerEvent = 8
	perUserLimit    = 3
)

// New makes up a crowd.
func New(o Options) Crowd {
	if o.Coupons <= 0 {
		o.Coupons = DefaultCoupons
	}
	if o.Users <= 0 {
		o.Users = DefaultUsers
	}
	m := &maker{random: rand.New(rand.NewPCG(o.Seed, 0x66697273745f636f))} //nolint:gosec // a crowd is no secret
	m.crowd.Vendors = vendorNames()
	m.coupons(o.Coupons)
	m.users(o.Users)
	return m.crowd
}

type maker struct {
	random *rand.Rand
	crowd  Crowd

	// indices of the coupons, by what is special about them
	plain, unopened, closed, many []int
	events                        [][]int
}

func (m *maker) coupons(n int) {
	share := func(thousandths int) int { return n * thousandths / 1000 }
	event, left := -1, 0
	for i := range n {
		c := Coupon{
			Vendor:       m.random.IntN(len(m.crowd.Vendors)),
			Event:        -1,
			Total:        4 + m.random.Int64N(40),
			PerUserLimit: 1,
			MinOrder:     10_000 * m.random.Int64N(4),
			Stackable:    m.random.IntN(4) == 0,
			ValidForDays: 7 * (1 + m.random.IntN(12)),
		}
		// The special ones come first; the order in which they are asked for is shuffled by the users.
		switch at := i; {
		case at < share(unopenedCoupons):
			c.Window = Unopened
			m.unopened = append(m.unopened, i)
		case at < share(unopenedCoupons+closedCoupons):
			c.Window = Closed
			m.closed = append(m.closed, i)
		case at < share(unopenedCoupons+closedCoupons+eventCoupons):
			if left == 0 {
				event, left = event+1, couponsPerEvent
				m.crowd.Events = append(m.crowd.Events, eventName(event))
				m.events = append(m.events, nil)
			}
			left--
			c.Event = event
			m.events[event] = append(m.events[event], i)
		case at < share(unopenedCoupons+closedCoupons+eventCoupons+manyCoupons):
			c.PerUserLimit = perUserLimit
			m.many = append(m.many, i)
		default:
			m.plain = append(m.plain, i)
		}
		m.describe(&c, i)
		m.crowd.Coupons = append(m.crowd.Coupons, c)
	}
}

// describe gives the coupon a discount and a name that says so.
func (m *maker) describe(c *Coupon, i int) {
	good := goods[m.random.IntN(len(goods))]
	if m.random.IntN(2) == 0 {
		c.DiscountType, c.DiscountValue = "percent", int64(5*(1+m.random.IntN(16)))
		c.Name = fmt.Sprintf("%s: %d%% off %s · %s %d%% 할인 (%04d)",
			m.crowd.Vendors[c.Vendor], c.DiscountValue, good.english, good.korean, c.DiscountValue, i+1)
		return
	}
	c.DiscountType, c.DiscountValue = "fixed", 1_000*(1+m.random.Int64N(20))
	c.Name = fmt.Sprintf("%s: %d won off %s · %s %d원 할인 (%04d)",
		m.crowd.Vendors[c.Vendor], c.DiscountValue, good.english, good.korean, c.DiscountValue, i+1)
}

func (m *maker) users(n int) {
	wanted := m.plain
	if len(wanted) == 0 { // a crowd so small that all coupons are special
		wanted = []int{0}
	}
	// Popularity as crowds have it: some coupons everybody wants, a long tail that some want.
	popular := rand.NewZipf(m.random, 1.2, 12, uint64(len(wanted)-1))
	for i := range n {
		u := User{ID: m.userID(i)}
		dice := m.random.IntN(1000)
		switch {
		case dice < askUnknown:
			u.Asks = []Ask{{Coupon: Unknown}}
		case dice < askUnknown+askUnopened && len(m.unopened) > 0:
			u.Asks = []Ask{{Coupon: m.pick(m.unopened)}}
		case dice < askUnknown+askUnopened+askClosed && len(m.closed) > 0:
			u.Asks = []Ask{{Coupon: m.pick(m.closed)}}
		case dice < askUnknown+askUnopened+askClosed+askEvent && len(m.events) > 0:
			u.Asks = m.eventAsks()
		case dice < askUnknown+askUnopened+askClosed+askEvent+askMany && len(m.many) > 0:
			u.Asks = m.manyAsks()
		default:
			u.Asks = []Ask{{Coupon: wanted[popular.Uint64()]}}
		}
		if m.random.IntN(1000) < askTwice {
			u.Asks[0].Twice = true
		}
		m.crowd.Users = append(m.crowd.Users, u)
	}
}

// eventAsks wants two coupons of one event; a user gets at most one of them.
func (m *maker) eventAsks() []Ask {
	of := m.events[m.random.IntN(len(m.events))]
	first := m.random.IntN(len(of))
	asks := []Ask{{Coupon: of[first]}}
	if len(of) > 1 {
		second := (first + 1 + m.random.IntN(len(of)-1)) % len(of)
		asks = append(asks, Ask{Coupon: of[second]})
	}
	return asks
}

// manyAsks wants one more than the limit allows.
func (m *maker) manyAsks() []Ask {
	coupon := m.pick(m.many)
	var asks []Ask
	for n := range perUserLimit + 1 {
		asks = append(asks, Ask{Coupon: coupon, Key: fmt.Sprintf("order-%d", n+1)})
	}
	return asks
}

func (m *maker) pick(of []int) int { return of[m.random.IntN(len(of))] }

func (m *maker) userID(i int) string {
	return fmt.Sprintf("%s.%s-%05d", givenNames[m.random.IntN(len(givenNames))], familyNames[m.random.IntN(len(familyNames))], i+1)
}
