package gatetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/coupon"
)

// The steps of a history that close, fill, open and change gates, and those that break them.

// mark is never repeated, whatever became of its reply.
func (h *history) mark(epoch int64) {
	h.lost = false
	if epoch < 1 {
		return
	}
	answer := same(h, "mark", func(g Gate, which int) string {
		a := g.Mark(h.rt.Context(), []coupon.Mark{{Tag: h.tag, Epoch: epoch}})[0]
		if a.Err == nil {
			h.marks[which] = a.Mark
		}
		return class(a.Err)
	})
	if h.timed {
		require.Equal(h.rt, h.marks[0], h.marks[1], "a token is made of the time and the epoch")
	}
	if answer == "" {
		h.epoch = epoch
		clear(h.loads)
		clear(h.members)
	}
}

func (h *history) load(id int64) *loaded {
	if h.loads[id] == nil {
		h.loads[id] = &loaded{slots: make(map[string]bool)}
	}
	return h.loads[id]
}

func (h *history) loadRows() {
	c := h.coupon()
	var rows []coupon.Place
	l := h.load(c.CouponID)
	for range rapid.IntRange(0, 3).Draw(h.rt, "rows") {
		p := h.known(c)
		slot := fmt.Sprint(p.UserID, " ", p.Nth)
		if p.Nth > c.PerUserLimit || l.slots[slot] || (c.Member && h.members[p.UserID]) {
			continue
		}
		p.Revoked = rapid.IntRange(0, 3).Draw(h.rt, "revoked") == 3
		p.AcceptedAt = h.base
		h.seq = max(h.seq, p.Seq)
		l.slots[slot] = true
		if p.Revoked {
			l.returned++
		}
		if c.Member {
			h.members[p.UserID] = true
		}
		rows = append(rows, p)
	}
	same(h, "load rows", func(g Gate, which int) string {
		return class(g.LoadRows(h.rt.Context(), h.marks[which], c.Ref, rows))
	})
}

func (h *history) loadTail() {
	h.lost = false // its caller starts over instead
	c := h.coupon()
	var tail []coupon.Place
	l := h.load(c.CouponID)
	expect := int64(0)
	for range rapid.IntRange(0, 4).Draw(h.rt, "records") {
		p := h.known(c)
		p.AcceptedAt = h.base
		if p.Nth > c.PerUserLimit {
			continue
		}
		tail = append(tail, p)
		slot := fmt.Sprint(p.UserID, " ", p.Nth)
		if l.slots[slot] || (c.Member && h.members[p.UserID]) {
			continue
		}
		h.seq = max(h.seq, p.Seq)
		expect++
		l.slots[slot] = true
		if c.Member {
			h.members[p.UserID] = true
		}
	}
	type tailed struct {
		Added int64
		Err   string
	}
	got := same(h, "load the tail", func(g Gate, which int) tailed {
		added, err := g.LoadTail(h.rt.Context(), h.marks[which], c.Ref, tail)
		return tailed{Added: added, Err: class(err)}
	})
	if got.Err == "" {
		require.Equal(h.rt, expect, got.Added)
	}
}

// open says what was loaded, sometimes wrongly, sometimes too early.
func (h *history) open() {
	h.openWith(h.later("open later"), rapid.Int64Range(-4, 1).Draw(h.rt, "holders too many"), rapid.Int64Range(-4, 1).Draw(h.rt, "members too many"))
}

func (h *history) openWith(wait time.Duration, holdersOff, membersOff int64) {
	o := coupon.Opening{Wait: wait, Event: len(h.coupons) > 1}
	for i, c := range h.coupons {
		l := h.load(c.CouponID)
		if i > 0 && i == len(h.coupons)-1 && h.epoch == 1 {
			continue // joins later; a rebuild finds it in the ledger
		}
		c.Holders, c.Returned, c.LastSeq = int64(len(l.slots))+max(0, holdersOff), l.returned, h.seq+1
		c.Revision = h.revision[c.CouponID]
		o.Coupons = append(o.Coupons, c)
	}
	if o.Event {
		o.Members = int64(len(h.members)) + max(0, membersOff)
	}
	same(h, "open", func(g Gate, which int) string {
		opening := o
		opening.Mark = h.marks[which]
		return class(g.Open(h.rt.Context(), []coupon.Opening{opening})[0])
	})
}

// rebuild takes all the steps, so that histories go on after a loss.
func (h *history) rebuild() {
	h.mark(h.epoch + 1)
	h.loadRows()
	h.loadTail()
	h.lost = rapid.Bool().Draw(h.rt, "lost")
	h.openWith(0, 0, 0)
}

func (h *history) join() {
	c := h.coupons[len(h.coupons)-1]
	if len(h.coupons) == 1 {
		return
	}
	epoch := max(1, h.epoch+max(-1, rapid.Int64Range(-1, 3).Draw(h.rt, "epoch off")-2))
	same(h, "join", func(g Gate, _ int) string { return class(g.Join(h.rt.Context(), c, epoch)) })
}

func (h *history) change() {
	c := h.coupon()
	change := coupon.TermsChange{
		Ref: c.Ref, To: h.terms(), Widen: rapid.Bool().Draw(h.rt, "widen"), Wait: h.later("change later"),
		Revision: max(0, h.revision[c.CouponID]+rapid.Int64Range(-1, 2).Draw(h.rt, "revision off")),
		Epoch:    h.epoch + rapid.Int64Range(-1, 1).Draw(h.rt, "epoch off"),
	}
	type changed struct {
		Epoch int64
		Err   string
	}
	got := same(h, "change", func(g Gate, _ int) changed {
		epoch, err := g.Change(h.rt.Context(), change)
		return changed{Epoch: epoch, Err: class(err)}
	})
	if got.Err == "" {
		h.revision[c.CouponID] = max(h.revision[c.CouponID], change.Revision)
	}
}

// lose breaks the same thing in both.
func (h *history) lose() {
	if rapid.IntRange(0, 2).Draw(h.rt, "mercy") > 0 {
		return
	}
	id := h.coupon().CouponID
	key := rapid.SampledFrom([]string{
		"gate", "members", fmt.Sprint("coupon:", id), fmt.Sprint("holders:", id), fmt.Sprint("pending:", id),
	}).Draw(h.rt, "key")
	kind := rapid.SampledFrom([]string{"one", "one", "key", "restart", "failover", "all"}).Draw(h.rt, "loss")
	for _, side := range h.both() {
		switch kind {
		case "one":
			if key != "gate" && key != fmt.Sprint("coupon:", id) {
				side.LoseOne(h.tag, key)
			}
		case "key":
			side.Lose(h.tag, key)
		case "restart":
			side.Restart(h.tag)
		case "failover":
			side.Failover(h.tag)
		case "all":
			side.Flush(h.tag)
		}
	}
}
