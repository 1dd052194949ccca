// Package check judges a run of chaos by its history alone: by what clients asked and were told, and by what admins asked
// for and were told. It knows no server, no table and no fault, so whatever it finds was visible to somebody outside.
//
// What it holds against the system:
//
//	same_answer     a place has one receipt: nth, seq and accepted_at never change (I6)
//	refused_winner  whoever was promised a place never hears a refusal, "no_issue" or "rejected" afterwards (I3, I6)
//	seq_twice       two places of a coupon never have the same number
//	over_limit      nobody is promised more places than the per-user limit, or two coupons of an event (I2)
//	over_cap        at no instant are more places promised than a cap that may have been in force then (I1)
//	outside_terms   no place is accepted while the coupon was surely paused, closed or outside its window
//	false_refusal   nobody is told sold_out, paused, closed, not_open, user_limit or event_limit that cannot have been so
//	strange_answer  an answer outside the contract, or somebody else's receipt
//	no_rest         once all has come to rest, every question has a definite answer and every promise is a row (I3)
package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/history"
)

// Violation is one finding with its evidence.
type Violation struct {
	Rule     string
	Coupon   int64
	User     string
	Evidence string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: coupon %d, user %q: %s", v.Rule, v.Coupon, v.User, v.Evidence)
}

// maxKept bounds the evidence that is kept for each rule; all are counted.
const maxKept = 20

// Promise is a place that was promised to somebody.
type Promise struct {
	Coupon     int64
	User       string
	Key        string
	Nth        int
	Seq        int64
	AcceptedAt time.Time
}

// Checker takes a history in its order.
type Checker struct {
	coupons  map[int64]*sale
	inEvent  map[member][]int64 // the coupons of an event that a user was promised
	siblings map[int64][]int64  // coupons of an event
	found    map[string]int
	kept     []Violation
	asked    int64
	told     map[string]int64 // answers by what they said
}

type member struct {
	event int64
	user  string
}

// New makes a Checker.
func New() *Checker {
	return &Checker{
		coupons: map[int64]*sale{}, inEvent: map[member][]int64{}, siblings: map[int64][]int64{},
		found: map[string]int{}, told: map[string]int64{},
	}
}

// sale is what is known of a coupon.
type sale struct {
	id                          int64
	limit                       int
	event                       int64
	total, state, opens, closes attempts
	places                      map[asker]*place
	seqs                        map[int64]asker
	nths                        map[nthOf]asker
	asked                       map[asker]time.Time // when each began to ask first
	keysOf                      map[string]int      // how many places a user asked for
	noes                        []refusal
}

type asker struct{ user, key string }

type nthOf struct {
	user string
	nth  int
}

type place struct {
	nth      int
	seq      int64
	accepted time.Time
	since    time.Time // when it was first told to somebody
	claimed  bool      // by an answer to a claim
}

type refusal struct {
	code     string
	user     string
	from, to time.Time
}

func (c *Checker) report(rule string, coupon int64, user, format string, args ...any) {
	c.found[rule]++
	if c.found[rule] <= maxKept {
		c.kept = append(c.kept, Violation{rule, coupon, user, fmt.Sprintf(format, args...)})
	}
}

// See takes the next exchange.
func (c *Checker) See(e history.Exchange) {
	c.asked++
	c.told[said(e)]++
	if e.Rest && !e.Definite() {
		c.report("no_rest", e.Coupon, e.User, "%s", said(e))
	}
	switch e.What {
	case history.Publish:
		c.publish(e)
		return
	case history.Change:
		if s := c.coupons[e.Coupon]; s != nil {
			s.change(e)
		}
		return
	}
	s := c.coupons[e.Coupon]
	if s == nil {
		c.report("strange_answer", e.Coupon, e.User, "asked about a coupon that nobody published: %s", said(e))
		return
	}
	switch e.What {
	case history.Claim:
		c.claim(s, e)
	case history.Mine:
		c.mine(s, e)
	case history.Look:
		if e.Status == 200 && e.Remaining != nil && *e.Remaining < 0 {
			c.report("strange_answer", e.Coupon, "", "%d places left", *e.Remaining)
		}
	}
}

func said(e history.Exchange) string {
	switch {
	case e.Status == 0:
		return e.What + ": no answer"
	case e.Code != "":
		return fmt.Sprintf("%s: %d %s", e.What, e.Status, e.Code)
	case e.Issue != "":
		return fmt.Sprintf("%s: %d %s", e.What, e.Status, e.Issue)
	default:
		return fmt.Sprintf("%s: %d", e.What, e.Status)
	}
}

func (c *Checker) publish(e history.Exchange) {
	if e.Status != 201 || e.Terms == nil {
		return // whatever became of it, nobody knows its id to claim it
	}
	t := e.Terms
	s := &sale{
		id: e.Coupon, limit: max(t.Limit, 1), event: t.Event, places: map[asker]*place{}, seqs: map[int64]asker{},
		nths: map[nthOf]asker{}, asked: map[asker]time.Time{}, keysOf: map[string]int{},
	}
	total := history.Unlimited
	if t.Total != nil {
		total = *t.Total
	}
	first := attempt{from: e.From, to: e.To, outcome: done}
	s.total.begin(first, total)
	s.state.begin(first, stateOpen)
	s.opens.begin(first, t.OpensAt.UnixMicro())
	s.closes.begin(first, t.ClosesAt.UnixMicro())
	c.coupons[e.Coupon] = s
	if t.Event != 0 {
		c.siblings[t.Event] = append(c.siblings[t.Event], e.Coupon)
	}
}

func (c *Checker) claim(s *sale, e history.Exchange) {
	who := asker{e.User, e.Key}
	if s.limit == 1 {
		who.key = ""
	}
	if first, again := s.asked[who]; !again || e.From.Before(first) {
		s.asked[who] = e.From
		if !again {
			s.keysOf[e.User]++
		}
	}
	switch {
	case e.Promised() && e.Err != "":
		c.report("strange_answer", e.Coupon, e.User, "%s", e.Err)
	case e.Promised():
		c.promised(s, who, e, true)
	case !e.Definite():
	default:
		if p := s.places[who]; p != nil && !p.since.After(e.From) {
			c.report("refused_winner", e.Coupon, e.User, "was told number %d at %s, and at %s: %s",
				p.seq, clock(p.since), clock(e.To), said(e))
			return
		}
		switch e.Code {
		case "sold_out", "paused", "closed", "not_open", "user_limit", "event_limit":
			s.noes = append(s.noes, refusal{e.Code, e.User, e.From, e.To})
		default:
			c.report("strange_answer", e.Coupon, e.User, "%s", said(e))
		}
	}
}

// promised takes a receipt, or a "mine" that says the same.
func (c *Checker) promised(s *sale, who asker, e history.Exchange, claimed bool) {
	if p := s.places[who]; p != nil {
		p.claimed = p.claimed || claimed
		if p.nth != e.Nth || p.seq != e.Seq || !p.accepted.Equal(e.AcceptedAt) {
			c.report("same_answer", s.id, e.User, "place %d, number %d, accepted %s (told at %s); and at %s: place %d, number %d, accepted %s",
				p.nth, p.seq, clock(p.accepted), clock(p.since), clock(e.To), e.Nth, e.Seq, clock(e.AcceptedAt))
		}
		return
	}
	s.places[who] = &place{nth: e.Nth, seq: e.Seq, accepted: e.AcceptedAt, since: e.To, claimed: claimed}
	if other, taken := s.seqs[e.Seq]; taken {
		c.report("seq_twice", s.id, e.User, "has number %d, and so has %q", e.Seq, other.user)
	}
	s.seqs[e.Seq] = who
	if other, taken := s.nths[nthOf{e.User, e.Nth}]; taken || e.Nth < 1 || e.Nth > s.limit {
		c.report("over_limit", s.id, e.User, "place %d of %d by key %q; key %q has it: %v", e.Nth, s.limit, who.key, other.key, taken)
	}
	s.nths[nthOf{e.User, e.Nth}] = who
	if s.event == 0 {
		return
	}
	m := member{s.event, e.User}
	if has := c.inEvent[m]; len(has) > 0 {
		c.report("over_limit", s.id, e.User, "has coupon %d of the same event", has[0])
	}
	c.inEvent[m] = append(c.inEvent[m], s.id)
}

func (c *Checker) mine(s *sale, e history.Exchange) {
	who, known := s.nths[nthOf{e.User, max(e.Nth, 1)}]
	var p *place
	if known {
		p = s.places[who]
	}
	switch {
	case !e.Definite():
	case e.Status == 200 && (e.Issue == "issued" || e.Issue == "accepted"):
		if known {
			c.promised(s, who, e, false)
		} else if s.limit == 1 {
			c.promised(s, asker{user: e.User}, e, false)
		}
		if e.Rest && e.Issue != "issued" {
			c.report("no_rest", s.id, e.User, "its place %d is still no row", e.Nth)
		}
	case e.Status == 404 && e.Code == "no_issue", e.Status == 200 && e.Issue == "rejected":
		if p != nil && !p.since.After(e.From) {
			c.report("refused_winner", s.id, e.User, "was told number %d at %s, and at %s: %s",
				p.seq, clock(p.since), clock(e.To), said(e))
		}
	default:
		c.report("strange_answer", s.id, e.User, "%s", said(e))
	}
}

// Promises are all places that were promised, by coupon and number.
func (c *Checker) Promises() []Promise {
	var all []Promise
	for id, s := range c.coupons {
		for who, p := range s.places {
			all = append(all, Promise{id, who.user, who.key, p.nth, p.seq, p.accepted})
		}
	}
	slices.SortFunc(all, func(a, b Promise) int { return cmp.Or(cmp.Compare(a.Coupon, b.Coupon), cmp.Compare(a.Seq, b.Seq)) })
	return all
}

// Verdict ends the history and returns what was found: the kept evidence, and how often each rule was broken.
func (c *Checker) Verdict() (kept []Violation, found map[string]int) {
	for _, s := range c.coupons {
		c.judgeTerms(s)
		c.judgeRefusals(s)
	}
	slices.SortStableFunc(c.kept, func(a, b Violation) int { return cmp.Compare(a.Rule, b.Rule) })
	return c.kept, c.found
}

// Told is how often each answer was given.
func (c *Checker) Told() map[string]int64 { return c.told }

// Asked is the number of exchanges.
func (c *Checker) Asked() int64 { return c.asked }

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000000") }
