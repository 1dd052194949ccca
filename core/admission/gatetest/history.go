package gatetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// history is one random history of one tag.
type history struct {
	rt    *rapid.T
	pair  Pair
	timed bool // both clocks can be set
	lost  bool // the next step's reply is lost once

	base    time.Time // when it began
	now     time.Time // of both clocks, when timed
	edges   []time.Time
	coupons []coupon.OpeningCoupon // the last of an event has not joined at first
	tag     string

	revision map[int64]int64 // last one that a change asked for
	epoch    int64           // greatest one that was marked
	marks    [2]coupon.Mark  // of both gates: their tokens differ where their clocks do
	loads    map[int64]*loaded
	members  map[string]bool // loaded
	places   []coupon.Place  // that a gate has given at some time
	seq      int64           // greatest seen
}

// loaded is what an opening of a coupon must say.
type loaded struct {
	slots    map[string]bool
	returned int64
}

func newHistory(rt *rapid.T, pair Pair) *history {
	h := &history{
		rt: rt, pair: pair, timed: pair.Oracle.SetTime != nil && pair.Subject.SetTime != nil,
		revision: make(map[int64]int64), loads: make(map[int64]*loaded), members: make(map[string]bool),
	}
	h.base = time.Now().UTC().Truncate(time.Second)
	if h.timed {
		h.base = time.Date(2026, 11, 20, 12, 0, 0, 1000, time.UTC)
		h.setTime(h.base)
	}
	return h
}

func (h *history) setTime(t time.Time) {
	h.now = t
	for _, side := range h.both() {
		side.SetTime(t)
	}
}

// later draws a wait, in a history without times none or an hour.
func (h *history) later(label string) time.Duration {
	if !h.timed {
		return rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(h.rt, label)
	}
	d := rapid.SampledFrom([]time.Duration{0, 0, time.Microsecond, 40 * time.Millisecond, 500 * time.Millisecond}).Draw(h.rt, label)
	h.edges = append(h.edges, h.now.Add(d))
	return d
}

func (h *history) terms() coupon.Terms {
	opens := []time.Duration{-10 * time.Minute, -10 * time.Minute, -time.Minute, 0, 200 * time.Millisecond}
	closes := []time.Duration{9 * time.Minute, 9 * time.Minute, 3 * time.Minute, time.Second}
	if !h.timed {
		opens, closes = []time.Duration{-time.Hour, -time.Hour, -2 * time.Hour, time.Hour}, []time.Duration{2 * time.Hour, 3 * time.Hour}
	}
	states := []coupon.State{coupon.StateOpen, coupon.StateOpen, coupon.StateOpen, coupon.StateOpen, coupon.StatePaused, coupon.StateClosed}
	t := coupon.Terms{
		State:    rapid.SampledFrom(states).Draw(h.rt, "state"),
		OpensAt:  h.base.Add(rapid.SampledFrom(opens).Draw(h.rt, "opens")),
		ClosesAt: h.base.Add(rapid.SampledFrom(closes).Draw(h.rt, "closes")),
	}
	if total := rapid.SampledFrom([]int64{2, 3, 1, 1, 4, 6, 0}).Draw(h.rt, "total"); total > 0 {
		t.Total = &total
	}
	if h.timed {
		h.edges = append(h.edges, t.OpensAt, t.ClosesAt)
	}
	return t
}

func (h *history) lone(limit int) {
	c := coupon.Coupon{ID: newID(), PerUserLimit: limit, Kind: coupon.FirstComeIssue, Terms: h.terms()}
	h.coupons = []coupon.OpeningCoupon{{Ref: c.Ref([]int64{c.ID}), Terms: c.Terms}}
	h.tag = c.Tag()
}

func (h *history) event() {
	eventID := newID()
	ids := []int64{newID(), newID(), newID(), newID()}
	for i, id := range ids {
		c := coupon.Coupon{ID: id, EventID: eventID, PerUserLimit: 1, Kind: coupon.FirstComeIssue, Terms: h.terms()}
		made := coupon.OpeningCoupon{Ref: c.Ref(ids), Terms: c.Terms}
		if i == 2 {
			made = forUse(made)
			made.PerUserLimit = 2
		}
		h.coupons = append(h.coupons, made)
	}
	h.tag = coupon.EventTag(eventID)
}

// publish opens the gate for all coupons but the one that is to join.
func (h *history) publish() {
	h.mark(1)
	h.openWith(0, 0, 0)
}

func (h *history) forget() {
	for _, side := range h.both() {
		side.Flush(h.tag)
	}
}

func (h *history) coupon() coupon.OpeningCoupon {
	return rapid.SampledFrom(h.coupons).Draw(h.rt, "coupon")
}

func (h *history) user() string {
	return rapid.SampledFrom([]string{"a", "A", "b", "c", "d:1"}).Draw(h.rt, "user")
}

func (h *history) key(c coupon.OpeningCoupon) string {
	if c.PerUserLimit == 1 {
		return ""
	}
	return rapid.SampledFrom([]string{"k1", "k2", "k:3", "k4"}).Draw(h.rt, "key")
}

// actions are the steps of a history; more of a name makes a step more likely.
func (h *history) actions() map[string]func(*rapid.T) {
	step := func(f func()) func(*rapid.T) {
		return func(rt *rapid.T) {
			h.rt = rt
			h.lost = rapid.IntRange(0, 3).Draw(rt, "lost") == 3
			f()
		}
	}
	return map[string]func(*rapid.T){
		"claim":          step(h.claim),
		"claim again":    step(h.claim),
		"claim at once":  step(h.claimSeveral),
		"confirm":        step(h.confirm),
		"confirm again":  step(h.confirm),
		"sweep":          step(h.sweep),
		"let time pass":  step(h.pass),
		"change":         step(h.change),
		"change again":   step(h.change),
		"ask for a user": step(h.holder),
		"mark":           step(func() { h.mark(h.epoch + rapid.Int64Range(-1, 1).Draw(h.rt, "epoch")) }),
		"load rows":      step(h.loadRows),
		"load the tail":  step(h.loadTail),
		"open":           step(h.open),
		"rebuild":        step(h.rebuild),
		"join":           step(h.join),
		"lose something": step(h.lose),
		"":               func(rt *rapid.T) { h.rt = rt; h.look() },
	}
}

func (h *history) pass() {
	if !h.timed {
		return
	}
	to := h.now.Add(rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, 45 * time.Millisecond, time.Second}).Draw(h.rt, "wait"))
	if len(h.edges) > 0 && rapid.Bool().Draw(h.rt, "to an edge") {
		edge := rapid.SampledFrom(h.edges).Draw(h.rt, "edge").Add(time.Duration(rapid.IntRange(-1, 1).Draw(h.rt, "off")) * time.Microsecond)
		if edge.After(h.now) {
			to = edge
		}
	}
	h.setTime(to)
}

func (h *history) call() admission.Call {
	c := h.coupon()
	call := admission.Call{Ref: c.Ref}
	for range rapid.IntRange(1, 4).Draw(h.rt, "asks") {
		call.Asks = append(call.Asks, ask(h.user(), h.key(c)))
	}
	return call
}

func (h *history) claim() { h.admit([]admission.Call{h.call()}) }

func (h *history) claimSeveral() { h.admit([]admission.Call{h.call(), h.call(), h.call()}) }

func (h *history) admit(calls []admission.Call) {
	answers := same(h, "admit", func(g Gate, _ int) []answered {
		answers := g.Admit(h.rt.Context(), calls)
		out := make([]answered, len(answers))
		for i, a := range answers {
			out[i] = h.answered(a)
		}
		return out
	})
	for i, a := range answers {
		for j, d := range a.Answer.Decisions {
			h.seq = max(h.seq, d.Seq)
			if d.Verdict.Place() {
				h.places = append(h.places, coupon.Place{
					CouponID: calls[i].Ref.CouponID, UserID: calls[i].Asks[j].UserID, Nth: d.Nth, Seq: d.Seq,
					Epoch: a.Answer.Epoch, AcceptedAt: d.AcceptedAt, Key: calls[i].Asks[j].Key,
				})
			}
		}
	}
}

// known draws a place that some gate gave at some time to somebody, of this coupon or not.
func (h *history) known(c coupon.OpeningCoupon) coupon.Place {
	p := coupon.Place{UserID: h.user(), Nth: 1, Seq: 1, Epoch: h.epoch}
	if len(h.places) > 0 {
		p = rapid.SampledFrom(h.places).Draw(h.rt, "place")
	}
	p.CouponID = c.CouponID
	if p.Key == "" && c.PerUserLimit > 1 {
		p.Key = h.key(c)
	}
	if c.PerUserLimit == 1 {
		p.Key, p.Nth = "", 1
	}
	return p
}

func (h *history) confirm() {
	c := h.coupon()
	call := admission.ConfirmCall{Ref: c.Ref}
	for range rapid.IntRange(1, 3).Draw(h.rt, "places") {
		p := h.known(c)
		p.Seq += int64(max(0, rapid.IntRange(-4, 1).Draw(h.rt, "seq off")))
		p.Epoch += int64(max(0, rapid.IntRange(-4, 1).Draw(h.rt, "epoch off")))
		call.Places = append(call.Places, p)
	}
	same(h, "confirm", func(g Gate, _ int) string {
		a := g.Confirm(h.rt.Context(), []admission.ConfirmCall{call})[0]
		return fmt.Sprint(a.Stands, class(a.Err))
	})
}

func (h *history) sweep() {
	c := h.coupon()
	s := admission.Sweep{
		Age: h.later("age"), Limit: rapid.IntRange(1, 3).Draw(h.rt, "limit"), Lease: time.Hour,
		Owner: rapid.SampledFrom([]string{"one", "two"}).Draw(h.rt, "owner"),
	}
	if h.timed {
		s.Lease = 700 * time.Millisecond
		h.edges = append(h.edges, h.now.Add(s.Lease))
	}
	type swept struct {
		Places []coupon.Place
		Err    string
	}
	same(h, "sweep", func(g Gate, _ int) swept {
		places, err := g.Sweepable(h.rt.Context(), c.Ref, s)
		out := swept{Err: class(err)}
		for _, p := range places {
			out.Places = append(out.Places, h.timeless(p))
		}
		return out
	})
}

func (h *history) holder() {
	c, user := h.coupon(), h.user()
	nth := rapid.IntRange(0, c.PerUserLimit).Draw(h.rt, "nth")
	same(h, "holder", func(g Gate, _ int) held {
		p, verdict, err := g.Holder(h.rt.Context(), c.Ref, user, nth)
		sound := class(g.Sound(h.rt.Context(), []coupon.Ref{c.Ref})[0])
		return held{Place: h.timeless(p), Verdict: verdict, Err: class(err), Sound: sound}
	})
}
