package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
)

// These tests are the model of the protocol run against the code: any order of steps of claims, consumers, rebuilds,
// changes and publications, each of which may lose an answer, crash anywhere or wake up late, while the gate's server
// is lost or replaced. Afterwards everything is repaired, and the invariants must hold.

func TestRebuildsKeepEveryPromiseInAnyOrderOfSteps(t *testing.T) { simulate(t, rebuildsOfOne) }

func rebuildsOfOne(s *simulation) {
	s.w.ids = []int64{s.w.publish(0, total(2), 1)}
	s.run(map[string]int{"rebuild": 3, "fault": 2}, 70)
}

func TestRebuildsOfAnEventKeepOneCouponAUser(t *testing.T) { simulate(t, rebuildsOfAnEvent) }

func rebuildsOfAnEvent(s *simulation) {
	event := s.w.event()
	s.w.publish(event, total(2), 1)
	s.w.publish(event, total(1), 1)
	s.event = event
	s.run(map[string]int{"rebuild": 3, "fault": 2, "join": 1}, 70)
}

func TestRebuildsKeepTheKeysOfClaimsAboveOne(t *testing.T) { simulate(t, rebuildsAboveOne) }

func rebuildsAboveOne(s *simulation) {
	s.w.publish(0, total(4), 2)
	s.run(map[string]int{"rebuild": 3, "fault": 2}, 70)
}

func TestChangesEndAlikeInGateAndBookInAnyOrderOfSteps(t *testing.T) { simulate(t, changesAlone) }

func changesAlone(s *simulation) {
	s.w.publish(0, total(2), 1)
	s.run(map[string]int{"change": 4, "finish": 1}, 70)
}

func TestChangesAndRebuildsCrossAnywhere(t *testing.T) { simulate(t, changesAndRebuilds) }

func changesAndRebuilds(s *simulation) {
	s.w.publish(0, total(2), 1)
	s.run(map[string]int{"rebuild": 2, "fault": 1, "change": 3, "finish": 1}, 80)
}

func TestChangesOfAnEventsCouponsCrossRebuilds(t *testing.T) { simulate(t, changesOfAnEvent) }

func changesOfAnEvent(s *simulation) {
	s.event = s.w.event()
	s.w.publish(s.event, total(2), 1)
	s.w.publish(s.event, total(1), 1)
	s.run(map[string]int{"rebuild": 2, "fault": 1, "change": 4, "finish": 1, "join": 1}, 90)
}

func TestPublishersMayCrashOrWakeLate(t *testing.T) { simulate(t, publishers) }

func publishers(s *simulation) {
	s.event = s.w.event()
	s.run(map[string]int{"new": 2, "join": 2, "rebuild": 3, "fault": 1, "change": 1}, 80)
}

// simulation draws the order of steps.
type simulation struct {
	t      *rapid.T
	w      *world
	event  int64
	actors []*stepped.Actor
	count  int

	problem string // of an actor; told by the test's own goroutine
}

// simulate checks a property of simulations. Time is the bubble's: a pause costs nothing, and no real time runs.
func simulate(t *testing.T, property func(*simulation)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ *testing.T }{t}, func(t *rapid.T) { // rapid would ask a bubble's T for its deadline
			s := &simulation{t: t, w: newWorld(t)}
			defer s.end()
			property(s)
		})
	})
}

// end lets no actor wait for a word that never comes.
func (s *simulation) end() {
	for _, a := range s.actors {
		a.Kill()
	}
}

// run draws steps. budget is how often each of those may begin that a run can only have a few of.
func (s *simulation) run(budget map[string]int, steps int) {
	for range steps {
		s.step(budget)
	}
	for _, a := range s.actors { // some of them never come back
		if !a.Ended && rapid.Bool().Draw(s.t, a.Name+" comes back") {
			a.Finish()
		}
	}
	s.found()
	s.w.settle()
	for _, a := range s.actors { // and some only when everything is repaired
		a.Finish()
	}
	s.found()
	s.w.settle()
	if s.problem != "" {
		s.t.Fatalf("%s", s.problem)
	}
	s.w.check()
}

// found notes coupons that the book has, whether their publisher is done or not.
func (s *simulation) found() {
	s.w.ids = s.w.book.IDs()
}

var (
	users = []string{"ann", "bob", "cid"}
	words = append(slices.Repeat([]stepped.Word{stepped.Go}, 9), stepped.Lose, stepped.Crash)
)

func (s *simulation) step(budget map[string]int) {
	s.found()
	var live []*stepped.Actor
	for _, a := range s.actors {
		if !a.Ended {
			live = append(live, a)
		}
	}
	choices := []string{"claim", "claim", "land", "land", "confirm", "consume", "commit", "actor", "actor", "actor", "actor", "again"}
	for _, name := range []string{"rebuild", "fault", "change", "finish", "new", "join"} {
		if budget[name] > 0 {
			choices = append(choices, name)
		}
	}
	choice := rapid.SampledFrom(choices).Draw(s.t, "step")
	if choice == "actor" {
		if len(live) > 0 {
			a := rapid.SampledFrom(live).Draw(s.t, "who")
			said := rapid.SampledFrom(words).Draw(s.t, "word")
			a.Say(said)
		}
		return
	}
	if _, scarce := budget[choice]; scarce {
		budget[choice]--
	}
	s.do(choice)
}

func (s *simulation) do(choice string) {
	w := s.w
	switch choice {
	case "claim":
		if len(w.ids) > 0 {
			w.claim(rapid.SampledFrom(w.ids).Draw(s.t, "coupon"), rapid.SampledFrom(users).Draw(s.t, "user"),
				rapid.SampledFrom([]string{"k1", "k2", "k3"}).Draw(s.t, "key"))
		}
	case "land":
		if len(w.decided) > 0 && len(w.log.Records()) < 12 {
			w.land(rapid.SampledFrom(w.decided).Draw(s.t, "record"))
		}
	case "confirm":
		if records := w.log.Records(); len(records) > 0 {
			w.confirm(rapid.SampledFrom(records).Draw(s.t, "record"))
		}
	case "consume": // the next record
		n := rapid.Int32Range(0, 1).Draw(s.t, "partition")
		if fakebook.Consume(w.book, w.log, n, w.pos[n]) {
			w.pos[n]++
		}
	case "again": // a record that was consumed before: another owner of the partition begins at the committed offset
		n := rapid.Int32Range(0, 1).Draw(s.t, "partition")
		if w.pos[n] > 0 {
			fakebook.Consume(w.book, w.log, n, rapid.Int64Range(0, w.pos[n]-1).Draw(s.t, "offset"))
		}
	case "commit":
		n := rapid.Int32Range(0, 1).Draw(s.t, "partition")
		w.log.Commit(n, w.pos[n])
	case "fault":
		s.fault()
	default:
		s.begin(choice)
	}
}

func (s *simulation) fault() {
	switch rapid.SampledFrom([]string{"flush", "server", "holders", "pending", "coupon", "gate"}).Draw(s.t, "fault") {
	case "flush":
		s.w.gate.Flush("")
	case "server":
		s.w.gate.NewServer()
	case "holders":
		s.each(func(id int64, tag string) { s.w.gate.Lose(tag, fmt.Sprintf("holders:%d", id)) })
	case "pending":
		s.each(func(id int64, tag string) { s.w.gate.Lose(tag, fmt.Sprintf("pending:%d", id)) })
	case "coupon":
		s.each(func(id int64, tag string) { s.w.gate.Lose(tag, fmt.Sprintf("coupon:%d", id)) })
	case "gate":
		s.each(func(_ int64, tag string) { s.w.gate.Lose(tag, "gate") })
	}
}

func (s *simulation) each(do func(id int64, tag string)) {
	for _, id := range s.w.ids {
		do(id, s.w.ref(id).Tag)
	}
}

// begin starts an actor.
func (s *simulation) begin(what string) {
	s.count++
	name := fmt.Sprintf("%s %d", what, s.count)
	var do func(a *stepped.Actor)
	switch what {
	case "rebuild":
		tags := s.w.tags()
		if s.event != 0 {
			tags = append(tags, coupon.EventTag(s.event))
		}
		do = func(a *stepped.Actor) {
			// What became of it is seen in the end; a crash or a lost answer is no failure of the test.
			_, _ = s.w.rebuilder(name, a.Step).Rebuild(s.w.ctx, tags, true)
		}
	case "finish":
		do = func(a *stepped.Actor) { _, _ = s.w.publisher(a.Step).Finish(s.w.ctx) } // likewise
	case "change":
		if len(s.w.ids) == 0 {
			return
		}
		id, req := rapid.SampledFrom(s.w.ids).Draw(s.t, "coupon"), s.request(name)
		do = func(a *stepped.Actor) { s.change(a, id, req) }
	case "new":
		draft := s.w.draft(0, total(2), 1)
		do = func(a *stepped.Actor) { s.w.publisher(a.Step).Coupons(s.w.ctx, []coupon.Coupon{draft}) }
	case "join":
		draft := s.w.draft(s.event, total(2), 1)
		do = func(a *stepped.Actor) { s.w.publisher(a.Step).Coupons(s.w.ctx, []coupon.Coupon{draft}) }
	}
	s.actors = append(s.actors, stepped.Start(name, do))
}

func (s *simulation) request(name string) publish.ChangeRequest {
	req := publish.ChangeRequest{Reason: name, By: "admin"}
	if n := rapid.Int64Range(0, 4).Draw(s.t, "total"); n > 0 {
		places := total(n)
		if n == 4 {
			places = nil
		}
		req.Total = &places
	}
	if state := rapid.SampledFrom([]coupon.State{"", coupon.StateOpen, coupon.StatePaused}).Draw(s.t, "state"); state != "" {
		req.State = &state
	}
	if opens := rapid.SampledFrom([]string{"", "later", "now"}).Draw(s.t, "opens"); opens != "" {
		at := time.Now().UTC().Truncate(time.Hour)
		if opens != "now" {
			at = at.Add(90 * time.Minute)
		}
		req.OpensAt = &at
	}
	if closes := rapid.SampledFrom([]time.Duration{0, 2 * time.Hour, 3 * time.Hour}).Draw(s.t, "closes"); closes != 0 {
		at := time.Now().Add(closes).UTC().Truncate(time.Microsecond)
		req.ClosesAt = &at
	}
	return req
}

// change is an admin's change. Whoever hears that it is done has it in the book, unless a later one came.
func (s *simulation) change(a *stepped.Actor, id int64, req publish.ChangeRequest) {
	changed, err := s.w.publisher(a.Step).Change(s.w.ctx, id, req)
	var kept *publish.KeptError
	var field *coupon.FieldError // a window that ends before it begins
	switch {
	case err == nil:
		last := changed.Revision
		s.w.heard[id] = max(s.w.heard[id], changed.Applied)
		for _, c := range s.w.book.ChangesOf(id) {
			if c.Reason == req.Reason && c.Revision == last && !changed.Same(c.To) {
				s.problem = fmt.Sprintf("%s is done, and the book has %s", req.Reason, show(changed.Terms))
			}
		}
	case errors.Is(err, coupon.ErrSuperseded), errors.Is(err, coupon.ErrBelowIssued), errors.As(err, &kept), errors.As(err, &field),
		errors.Is(err, stepped.ErrLost):
	default:
		s.problem = fmt.Sprintf("%s: %v", req.Reason, err)
	}
}
