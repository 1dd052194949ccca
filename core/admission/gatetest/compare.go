package gatetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Pair is a gate and the oracle that it is compared with. Where one of the clocks cannot be set, instants are not
// compared, and everything that depends on time lies an hour away.
type Pair struct {
	Oracle, Subject Harness
}

// Compare plays random histories on both gates: claims, repeated and with lost replies, confirmations true and false,
// sweeps, changes of every kind, rebuilds whole and half, joins, losses, and time. Both must answer everything alike and
// look alike after every step. A history that fails is shrunk to a short one.
func Compare(t *testing.T, pair Pair) {
	t.Helper()
	for name, build := range map[string]func(*history){
		"one place a user":        func(h *history) { h.lone(1) },
		"three places a user":     func(h *history) { h.lone(3) },
		"an event of two coupons": func(h *history) { h.event() },
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				h := newHistory(rt, pair)
				build(h)
				defer h.forget()
				h.publish()
				rt.Repeat(h.actions())
			})
		})
	}
}

// both are the two gates, the oracle first.
func (h *history) both() [2]Harness { return [2]Harness{h.pair.Oracle, h.pair.Subject} }

// same runs a step on both gates and requires the same answer, which it returns. A lost reply is a step that ran and
// runs again: then the second answers are compared.
func same[A any](h *history, what string, step func(g Gate, which int) A) A {
	h.rt.Helper()
	if h.lost {
		for which, side := range h.both() {
			step(side.Gate, which)
		}
	}
	var answers [2]A
	for which, side := range h.both() {
		answers[which] = step(side.Gate, which)
	}
	require.Equal(h.rt, answers[0], answers[1], what)
	return answers[0]
}

// class is an error as far as callers tell errors apart.
func class(err error) string {
	var unsound *coupon.UnsoundError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &unsound):
		return fmt.Sprintf("unsound %s %s", unsound.Tag, unsound.Why)
	}
	for _, known := range []error{
		coupon.ErrOvertaken, coupon.ErrTooEarly, coupon.ErrBelowIssued, coupon.ErrSuperseded,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}

// The answers in a form that can be compared: errors by class, times only where both clocks stand still.

type answered struct {
	Answer admission.Answer
	Err    string
}

func (h *history) answered(a admission.Answer) answered {
	out := answered{Answer: a, Err: class(a.Err)}
	out.Answer.Err = nil
	if !h.timed {
		out.Answer.Now = time.Time{}
		for i := range out.Answer.Decisions {
			out.Answer.Decisions[i].AcceptedAt = time.Time{}
		}
	}
	return out
}

type looked struct {
	View  coupon.View
	Total int64
	Err   string
}

func (h *history) looked(a coupon.ViewAnswer) looked {
	out := looked{View: a.View, Total: -1, Err: class(a.Err)}
	if a.View.Total != nil {
		out.Total = *a.View.Total
	}
	out.View.Total = nil
	if !h.timed {
		out.View.Now = time.Time{}
	}
	return out
}

type held struct {
	Place   coupon.Place
	Verdict coupon.Verdict
	Err     string
	Sound   string
}

func (h *history) timeless(p coupon.Place) coupon.Place {
	if !h.timed {
		p.AcceptedAt = time.Time{}
	}
	return p
}

// look compares what readers see: after every step, and of everything.
func (h *history) look() {
	h.lost = false
	refs := make([]coupon.Ref, len(h.coupons))
	for i, c := range h.coupons {
		refs[i] = c.Ref
	}
	same(h, "views", func(g Gate, _ int) []looked {
		answers := g.Views(h.rt.Context(), refs)
		out := make([]looked, len(answers))
		for i, a := range answers {
			out[i] = h.looked(a)
		}
		return out
	})
}
