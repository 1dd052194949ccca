package claimtest

import (
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/anishathalye/porcupine"
)

// Bounds of a history, so that a state is a plain value.
const (
	MaxCoupons = 2
	MaxUsers   = 12
)

// Kind is what is asked.
type Kind string

// The kinds.
const (
	Claim  Kind = "claim"
	Me     Kind = "me"
	Read   Kind = "read"
	Change Kind = "change"
	Holds  Kind = "holds"
	Lost   Kind = "lost"
)

// Answers that are no numbers: codes of the outside contract, and what only a history knows.
const (
	Done        = "done"    // of a change
	Unknown     = "unknown" // lost, late, 503
	Closed      = "closed"
	Paused      = "paused"
	EventLimit  = "event_limit"
	SoldOut     = "sold_out"
	NoIssue     = "no_issue"
	BelowIssued = "below_issued"
	Superseded  = "superseded"
	Open        = "open"
)

// Terms are what an admin may change.
type Terms struct {
	Cap   int
	State string // Open, Paused or Closed
}

// Input is a question.
type Input struct {
	Kind     Kind
	Coupon   int // from 0
	User     int // from 0; of Claim and Me
	Revision int // of Change and its Holds; different for each
	To       Terms
}

// Output is an answer: a number, or a word.
type Output struct {
	Seq  int    // of Claim and Me; 0: Word
	Word string // of Read the state
	Left int    // of Read
}

// unheard is the number of a place that nobody was told of in a history with losses.
const unheard = -1

// couponState is one counter.
type couponState struct {
	now, next Terms // next: what waits, if waits is not 0
	waits     int   // the revision whose Holds ends the waiting
	last      int16 // the last number, where they are dense
	seq       [MaxUsers]int16
	told      [MaxUsers]bool // somebody was told that this user holds a place
}

type state [MaxCoupons]couponState

// Model says what a history begins with.
type Model struct {
	Coupons []Terms // of one event, if there are two
	Dense   bool    // numbers are given without gaps: no gate was lost
	// Remembers says that refusals may come from a memory that is M old: the reason is a true one then, and need not be
	// the first that fits.
	Remembers bool
}

// states are all that the counter may be in: none twice, in no order. sum tells most different sets apart.
type states struct {
	all []state
	sum uint64
}

func (m Model) porcupine() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any {
			var s state
			for i, t := range m.Coupons {
				s[i].now = t
			}
			return collect(seed, []state{s})
		},
		Step: func(from, in, out any) (bool, any) {
			var next []state
			for _, s := range from.(states).all { //nolint:forcetypeassert // the history has no others, here and below
				next = append(next, m.step(s, in.(Input), out.(Output))...)
			}
			return len(next) > 0, collect(seed, next)
		},
		Equal: func(a, b any) bool { return equal(a.(states), b.(states)) },
		Hash:  func(s any) uint64 { return s.(states).sum },
		DescribeOperation: func(in, out any) string {
			return fmt.Sprintf("%v → %v", in, out)
		},
		DescribeState: func(s any) string { return s.(states).String() },
	}
}

func collect(seed maphash.Seed, list []state) states {
	seen := make(map[state]struct{}, len(list))
	var out states
	for _, s := range list {
		if _, twice := seen[s]; !twice {
			seen[s] = struct{}{}
			out.all = append(out.all, s)
			out.sum += maphash.Comparable(seed, s)
		}
	}
	return out
}

func equal(a, b states) bool {
	if a.sum != b.sum || len(a.all) != len(b.all) {
		return false
	}
	in := make(map[state]struct{}, len(a.all))
	for _, s := range a.all {
		in[s] = struct{}{}
	}
	for _, s := range b.all {
		if _, ok := in[s]; !ok {
			return false
		}
	}
	return true
}

// String shows a few of them.
func (s states) String() string {
	const few = 3
	var b strings.Builder
	for i, one := range s.all {
		if i == few {
			fmt.Fprintf(&b, "or %d more", len(s.all)-few)
			break
		}
		for c, its := range one {
			if its.now.State == "" {
				continue
			}
			fmt.Fprintf(&b, "coupon %d: %d places, %s;", c, its.now.Cap, its.now.State)
			for u, seq := range its.seq {
				if seq != 0 {
					fmt.Fprintf(&b, " user %d has %d;", u, seq)
				}
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// step returns all states that the counter may be in after giving this answer; none: it cannot give it.
func (m Model) step(s state, in Input, out Output) []state {
	c := &s[in.Coupon]
	switch in.Kind {
	case Claim:
		return m.claim(s, in, out)
	case Me:
		return m.me(s, in, out)
	case Read:
		left := max(0, c.now.Cap-c.holders())
		word := c.now.State
		if word == Open && left == 0 {
			word = SoldOut
		}
		return when(out.Word == Unknown || out.Word == word && out.Left == left, s)
	case Change:
		return change(s, in, out)
	case Holds:
		if c.waits == in.Revision {
			c.now, c.waits, c.next = c.next, 0, Terms{}
		}
		return []state{s}
	case Lost:
		return lost(s)
	default:
		return nil
	}
}

func when(ok bool, s state) []state {
	if ok {
		return []state{s}
	}
	return nil
}

func (c *couponState) holders() (n int) {
	for _, seq := range c.seq {
		if seq != 0 {
			n++
		}
	}
	return n
}

// refusal is the first reason that gives no place to one who has none; "" is none.
func (s *state) refusal(in Input) string {
	c := &s[in.Coupon]
	if c.now.State != Open {
		return c.now.State
	}
	for i := range s {
		if i != in.Coupon && s[i].seq[in.User] != 0 {
			return EventLimit
		}
	}
	if c.holders() >= c.now.Cap {
		return SoldOut
	}
	return ""
}

func (m Model) claim(s state, in Input, out Output) []state {
	c := &s[in.Coupon]
	held := c.seq[in.User]
	refusal := s.refusal(in)
	switch {
	case out.Word == Unknown:
		undone := s
		if held != 0 || refusal != "" {
			return []state{undone}
		}
		c.seq[in.User] = unheard
		if m.Dense {
			c.last++
			c.seq[in.User] = c.last
		}
		return []state{undone, s}
	case out.Seq == 0:
		return when(held == 0 && (out.Word == refusal || m.Remembers && refusal != "" && c.remembered(out.Word)), s)
	case held != 0:
		return s.tell(in, out)
	default:
		if refusal != "" || !m.fits(c, int16(out.Seq)) {
			return nil
		}
		c.seq[in.User], c.told[in.User], c.last = int16(out.Seq), true, int16(out.Seq)
		return []state{s}
	}
}

// remembered says whether a refusal that was the first to fit may still be said, now that another one comes first: a pause
// may have begun or a close, or the user may have got another coupon of the event. What would give places waits M, and by
// then nobody remembers.
func (c *couponState) remembered(word string) bool {
	switch word {
	case SoldOut:
		return c.holders() >= c.now.Cap
	case Paused:
		return c.now.State != Open
	default:
		return false
	}
}

// fits says whether a number may be the one of a new place.
func (m Model) fits(c *couponState, seq int16) bool {
	if m.Dense {
		return seq == c.last+1
	}
	for _, other := range c.seq {
		if other >= seq {
			return false
		}
	}
	return true
}

// tell tells a holder the number.
func (s state) tell(in Input, out Output) []state {
	c := &s[in.Coupon]
	held := c.seq[in.User]
	if held == unheard {
		for _, other := range c.seq {
			if other == int16(out.Seq) {
				return nil
			}
		}
		held = int16(out.Seq)
	}
	if held != int16(out.Seq) {
		return nil
	}
	c.seq[in.User], c.told[in.User] = held, true
	return []state{s}
}

func (m Model) me(s state, in Input, out Output) []state {
	held := s[in.Coupon].seq[in.User]
	switch {
	case out.Word == Unknown:
		return []state{s}
	case out.Seq == 0:
		return when(held == 0 && out.Word == NoIssue, s)
	case held == 0:
		return nil
	default:
		return s.tell(in, out)
	}
}

func change(s state, in Input, out Output) []state {
	before := s
	c := &s[in.Coupon]
	below := c.holders() > in.To.Cap
	switch out.Word {
	case BelowIssued:
		return when(below, before)
	case Superseded:
		return []state{before}
	case Done, Unknown:
		if below {
			return when(out.Word == Unknown, before)
		}
	default:
		return nil
	}
	cuts := c.waits != 0 && meet(c.next, in.To) == in.To
	c.now = meet(c.now, in.To)
	switch {
	case c.now == in.To:
		c.next, c.waits = Terms{}, 0
	case cuts:
		c.next = in.To
	default:
		c.next, c.waits = in.To, in.Revision
	}
	if out.Word == Unknown {
		return []state{before, s}
	}
	return []state{s}
}

// meet is the narrower of both in each term.
func meet(a, b Terms) Terms {
	a.Cap = min(a.Cap, b.Cap)
	if gives(b.State) < gives(a.State) {
		a.State = b.State
	}
	return a
}

func gives(state string) int { return strings.Index(Closed+Paused+Open, state) }

// lost forgets any of the places of which nobody was told. What waits may hold at once: the new gate has read it.
func lost(s state) []state {
	states := []state{s}
	for i := range s {
		for u, seq := range s[i].seq {
			if seq == 0 || s[i].told[u] {
				continue
			}
			for _, kept := range states {
				kept[i].seq[u] = 0
				states = append(states, kept)
			}
		}
		if s[i].waits != 0 {
			for _, kept := range states {
				kept[i].now, kept[i].next, kept[i].waits = kept[i].next, Terms{}, 0
				states = append(states, kept)
			}
		}
	}
	return states
}
