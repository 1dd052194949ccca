package admission

import (
	"context"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/batching"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// question is one claim on its way to the gate.
type question struct {
	ref coupon.Ref
	ask Ask
}

// word is the gate's word on it.
type word struct {
	Decision
	epoch        int64
	now, opensAt time.Time
}

// confirmation is one place on its way to the gate after the journal has acknowledged it.
type confirmation struct {
	ref   coupon.Ref
	place coupon.Place
}

// admit asks the gate for a group of claims: one script call a coupon and Batch users, all of them one pipeline.
func (d *Desk) admit(ctx context.Context, qs []question) []batching.Result[word] {
	order, spans := arrange(qs, d.deps.Batch, func(q *question) *coupon.Ref { return &q.ref })
	asks := make([]Ask, len(qs))
	for at, i := range order {
		asks[at] = qs[i].ask
	}
	calls := make([]Call, len(spans))
	for i, s := range spans {
		calls[i] = Call{Ref: s.ref, Asks: asks[s.from:s.to:s.to]}
	}
	began := time.Now()
	crashpoint.At("claim.grouped")
	answers := d.deps.Gate.Admit(ctx, calls)
	crashpoint.At("claim.admitted")
	d.metrics.admitted(len(qs), time.Since(began))

	results := make([]batching.Result[word], len(qs))
	for i, s := range spans {
		var a Answer
		if i < len(answers) {
			a = answers[i]
		}
		if a.Err == nil && len(a.Decisions) != s.to-s.from {
			a.Err = fmt.Errorf("gate decided %d of %d claims of coupon %d", len(a.Decisions), s.to-s.from, s.ref.CouponID)
		}
		for at := s.from; at < s.to; at++ {
			result := &results[order[at]]
			if result.Err = a.Err; a.Err != nil {
				continue
			}
			result.Answer = word{Decision: a.Decisions[at-s.from], epoch: a.Epoch, now: a.Now, opensAt: a.OpensAt}
			if v := result.Answer.Verdict; v < coupon.Admitted || v > coupon.SoldOut {
				result.Err = fmt.Errorf("gate decided %d on a claim of coupon %d, which is no verdict", v, s.ref.CouponID)
			}
		}
	}
	return results
}

// confirmAll asks the gate whether a group of places still stands.
func (d *Desk) confirmAll(ctx context.Context, qs []confirmation) []batching.Result[bool] {
	order, spans := arrange(qs, d.deps.Batch, func(q *confirmation) *coupon.Ref { return &q.ref })
	places := make([]coupon.Place, len(qs))
	for at, i := range order {
		places[at] = qs[i].place
	}
	calls := make([]ConfirmCall, len(spans))
	for i, s := range spans {
		calls[i] = ConfirmCall{Ref: s.ref, Places: places[s.from:s.to:s.to]}
	}
	began := time.Now()
	answers := d.deps.Gate.Confirm(ctx, calls)
	d.metrics.confirmed(len(qs), time.Since(began))

	results := make([]batching.Result[bool], len(qs))
	for i, s := range spans {
		var a ConfirmAnswer
		if i < len(answers) {
			a = answers[i]
		}
		if a.Err == nil && len(a.Stands) != s.to-s.from {
			a.Err = fmt.Errorf("gate confirmed %d of %d places of coupon %d", len(a.Stands), s.to-s.from, s.ref.CouponID)
		}
		for at := s.from; at < s.to; at++ {
			result := &results[order[at]]
			if result.Err = a.Err; a.Err == nil {
				result.Answer = a.Stands[at-s.from]
			}
		}
	}
	return results
}

// span is a stretch of a group that goes into one call: one coupon, at most a batch of questions.
type span struct {
	ref      coupon.Ref
	from, to int
}

// arrange puts the questions of one coupon side by side, in order of arrival, and cuts them into spans of at most
// batch. order[at] is the question at that position of the arrangement. Of refs that differ the one with the most siblings is taken: siblings
// only grow, so the others are older looks at the same coupon.
func arrange[Q any](qs []Q, batch int, refOf func(*Q) *coupon.Ref) (order []int, spans []span) {
	order = make([]int, len(qs))
	spans = make([]span, 0, 1+len(qs)/batch)
	first := refOf(&qs[0]).CouponID
	alone := true
	for i := range qs {
		order[i] = i
		alone = alone && refOf(&qs[i]).CouponID == first
	}
	if alone {
		return order, cut(spans, newest(qs, order, refOf), 0, len(qs), batch)
	}

	index := make(map[int64]int, len(qs)) // coupon -> its place in counts
	group := make([]int, len(qs))
	counts := make([]int, 0, len(qs))
	for i := range qs {
		id := refOf(&qs[i]).CouponID
		g, known := index[id]
		if !known {
			g = len(counts)
			index[id] = g
			counts = append(counts, 0)
		}
		group[i] = g
		counts[g]++
	}
	next := make([]int, len(counts)) // where the next question of the coupon goes
	for g := 1; g < len(counts); g++ {
		next[g] = next[g-1] + counts[g-1]
	}
	for i := range qs {
		order[next[group[i]]] = i
		next[group[i]]++
	}
	for g, count := range counts { // next[g] is where the coupon's questions end now
		from, to := next[g]-count, next[g]
		spans = cut(spans, newest(qs, order[from:to], refOf), from, to, batch)
	}
	return order, spans
}

func newest[Q any](qs []Q, of []int, refOf func(*Q) *coupon.Ref) coupon.Ref {
	best := refOf(&qs[of[0]])
	for _, i := range of[1:] {
		if ref := refOf(&qs[i]); len(ref.Siblings) > len(best.Siblings) {
			best = ref
		}
	}
	return *best
}

func cut(spans []span, ref coupon.Ref, from, to, batch int) []span {
	for ; from < to; from += batch {
		spans = append(spans, span{ref: ref, from: from, to: min(from+batch, to)})
	}
	return spans
}
