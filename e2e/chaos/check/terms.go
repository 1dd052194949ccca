package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/history"
)

// How a change ended, as far as its admin knows.
type outcome int

const (
	unknown outcome = iota // it may take effect at any time from its question on
	done
	refused // it may have held at the gate for a moment
)

const (
	// lateness is how long a question without an answer may still be on its way to the point where changes get their order.
	// One that is asked later than that comes later in this order, too. A paused api holds requests for seconds.
	lateness = 60 * time.Second
	// settling is how long the system may go by what held before: the time after which a widening holds (M, 0.5 s) and
	// that of a refusal from memory (M again), with room for a busy machine.
	settling = 3 * time.Second
	// grain is the precision of accepted_at.
	grain = time.Millisecond
)

// The states as numbers.
const (
	stateOpen int64 = iota
	statePaused
	stateClosed
)

// attempt is one change of one term.
type attempt struct {
	from, to time.Time
	outcome  outcome
}

// valued is an attempt with the value it wanted, and the time from which it cannot be in force any more.
type valued struct {
	attempt
	value int64
	ended time.Time // zero: never
	first bool
}

// attempts are all changes of one term of a coupon, the publication first.
type attempts []valued

func (a *attempts) begin(first attempt, value int64) {
	*a = append(*a, valued{attempt: first, value: value, first: true})
}

// add takes a later change, in the order of the answers. One that is surely in force ends those that surely came before.
func (a *attempts) add(next attempt, value int64) {
	if next.outcome == done {
		for i := range *a {
			old := &(*a)[i]
			before := old.to
			if old.outcome == unknown {
				before = old.from.Add(lateness)
			}
			if old.ended.IsZero() && next.from.After(before) {
				old.ended = next.to
			}
		}
	}
	v := valued{attempt: next, value: value}
	if next.outcome == refused {
		v.ended = next.to.Add(settling)
	}
	*a = append(*a, v)
}

// possible calls yield for each value that may have been in force at some time from..to.
func (a attempts) possible(from, to time.Time, yield func(value int64)) {
	for _, v := range a {
		if (v.first || !v.from.After(to)) && (v.ended.IsZero() || !v.ended.Before(from)) {
			yield(v.value)
		}
	}
}

func (a attempts) most(from, to time.Time) int64 {
	most := int64(0)
	a.possible(from, to, func(v int64) { most = max(most, v) })
	return most
}

func (a attempts) least(from, to time.Time) int64 {
	least := history.Unlimited
	a.possible(from, to, func(v int64) { least = min(least, v) })
	return least
}

func (a attempts) may(from, to time.Time, is func(int64) bool) bool {
	may := false
	a.possible(from, to, func(v int64) { may = may || is(v) })
	return may
}

// change takes an answer to an admin.
func (s *sale) change(e history.Exchange) {
	a := attempt{from: e.From, to: e.To}
	switch {
	case e.Status == 200:
		a.outcome = done
	case e.Status == 409 && e.Code == "superseded", !e.Definite():
		a.outcome = unknown
	default:
		a.outcome = refused
	}
	t := e.Terms
	if t.Total != nil {
		s.total.add(a, *t.Total)
	}
	if t.State != "" {
		s.state.add(a, map[string]int64{"open": stateOpen, "paused": statePaused, "closed": stateClosed}[t.State])
	}
	if t.OpensAt != nil && t.ClosesAt != nil {
		// A window that moves away from itself does so in two steps, and the coupon is paused between them.
		if a.outcome == done {
			s.state.add(attempt{from: a.from, to: a.to, outcome: refused}, statePaused)
		} else {
			s.state.add(a, statePaused)
		}
	}
	if t.OpensAt != nil {
		s.opens.add(a, t.OpensAt.UnixMicro())
	}
	if t.ClosesAt != nil {
		s.closes.add(a, t.ClosesAt.UnixMicro())
	}
}

// judgeTerms looks at each promised place at the instant of its acceptance. Places are never given back, so those
// accepted earlier were all held then.
func (c *Checker) judgeTerms(s *sale) {
	places := make([]asker, 0, len(s.places))
	for who := range s.places {
		places = append(places, who)
	}
	slices.SortFunc(places, func(a, b asker) int {
		return cmp.Or(s.places[a].accepted.Compare(s.places[b].accepted), cmp.Compare(s.places[a].seq, s.places[b].seq))
	})
	for i, who := range places {
		at := s.places[who].accepted
		from, to := at.Add(-grain), at.Add(grain)
		if most := s.total.most(from, to); int64(i+1) > most {
			c.report("over_cap", s.id, who.user, "number %d, accepted %s, is place %d of at most %d then",
				s.places[who].seq, clock(at), i+1, most)
		}
		us := at.UnixMicro()
		open := s.state.may(from, to, func(v int64) bool { return v == stateOpen }) &&
			s.opens.may(from, to, func(v int64) bool { return v <= us+grain.Microseconds() }) &&
			s.closes.may(from, to, func(v int64) bool { return v > us-grain.Microseconds() })
		if !open {
			c.report("outside_terms", s.id, who.user, "number %d was accepted at %s, when nobody could get in",
				s.places[who].seq, clock(at))
		}
	}
}

// judgeRefusals looks whether each refusal can have been true at some time between question and answer, or shortly
// before.
func (c *Checker) judgeRefusals(s *sale) {
	asked := make([]time.Time, 0, len(s.asked))
	for _, at := range s.asked {
		asked = append(asked, at)
	}
	slices.SortFunc(asked, time.Time.Compare)
	for _, no := range s.noes {
		from, to := no.from.Add(-settling), no.to
		var may bool
		switch no.code {
		case "sold_out":
			// A place is taken by somebody who has asked by then.
			takers, _ := slices.BinarySearchFunc(asked, to, time.Time.Compare)
			may = int64(takers) > s.total.least(from, to) || s.total.least(from, to) == 0
		case "paused":
			may = s.state.may(from, to, func(v int64) bool { return v == statePaused })
		case "closed":
			may = s.state.may(from, to, func(v int64) bool { return v == stateClosed }) ||
				s.closes.may(from, to, func(v int64) bool { return v <= to.UnixMicro() })
		case "not_open":
			may = s.opens.may(from, to, func(v int64) bool { return v > from.UnixMicro() })
		case "user_limit":
			may = s.keysOf[no.user] > s.limit
		case "event_limit":
			may = slices.ContainsFunc(c.siblings[s.event], func(other int64) bool {
				_, asked := c.coupons[other].asked[asker{user: no.user}]
				return other != s.id && asked
			})
		}
		if !may {
			c.report("false_refusal", s.id, no.user, "%s at %s, which cannot have been", no.code, clock(no.to))
		}
	}
}
