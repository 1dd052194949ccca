package redisgate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Admit implements admission.Gate.
func (g *Gate) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	answers := make([]admission.Answer, len(calls))
	sent := make([]*call, 0, len(calls))
	place := make([]int, 0, len(calls)) // of each sent call among the answers
	for i, c := range calls {
		one, err := g.admitCall(c)
		if err != nil {
			answers[i].Err = err
			continue
		}
		sent = append(sent, one)
		place = append(place, i)
	}
	g.run(ctx, sent)
	for j, one := range sent {
		answers[place[j]] = admitAnswer(one, len(calls[place[j]].Asks))
	}
	return answers
}

func (g *Gate) admitCall(c admission.Call) (*call, error) {
	if err := checkRef(c.Ref); err != nil {
		return nil, err
	}
	if len(c.Asks) > admission.MaxBatch {
		return nil, fmt.Errorf("redisgate: %d asks in one call, at most %d", len(c.Asks), admission.MaxBatch)
	}
	args := make([]any, 0, 2+2*len(c.Asks))
	args = append(args, c.Ref.PerUserLimit, flag(c.Ref.Member))
	for _, ask := range c.Asks {
		if !plain(ask.UserID) {
			return nil, &coupon.FieldError{Field: "user_id", Detail: "has no form that a gate takes"}
		}
		args = append(args, ask.UserID)
		if c.Ref.PerUserLimit == 1 {
			continue
		}
		if !plain(ask.Key) {
			return nil, &coupon.FieldError{Field: "Idempotency-Key", Detail: "is needed where the per-user limit is above 1"}
		}
		args = append(args, ask.Key)
	}
	return &call{script: g.scripts.admit, tag: c.Ref.Tag, keys: couponKeys(c.Ref, 0), args: args}, nil
}

// plain keeps out what would tear a field or a reply apart. The exact form is the caller's to check (coupon.ValidUserID,
// coupon.ValidKey); this is the part that the gate's own data rests on, without a regular expression on the hot path.
func plain(s string) bool {
	if s == "" || len(s) > max(coupon.MaxUserID, coupon.MaxKey) {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func admitAnswer(c *call, asks int) admission.Answer {
	if c.err != nil {
		return admission.Answer{Err: c.err}
	}
	head, ok := c.ints(3)
	opens, isInstant := c.instant(3)
	list, isText := c.text(4)
	if !ok || !isInstant || !isText {
		c.fail(errGarbled)
		return admission.Answer{Err: c.err}
	}
	a := admission.Answer{
		Decisions: make([]admission.Decision, 0, asks),
		Epoch:     head[0], Generation: head[1], Now: micros(head[2]), OpensAt: opens,
	}
	for token := range strings.FieldsSeq(list) {
		d, ok := parseDecision(token)
		if !ok {
			c.fail(errGarbled)
			return admission.Answer{Err: c.err}
		}
		a.Decisions = append(a.Decisions, d)
	}
	if len(a.Decisions) != asks {
		c.fail(errGarbled)
		return admission.Answer{Err: c.err}
	}
	return a
}

// parseDecision reads verdict or verdict:nth:seq:us.
func parseDecision(token string) (admission.Decision, bool) {
	var d admission.Decision
	number, rest, isPlace := strings.Cut(token, ":")
	verdict, err := strconv.ParseUint(number, 10, 8)
	if err != nil || verdict < uint64(coupon.Admitted) || verdict > uint64(coupon.SoldOut) {
		return d, false
	}
	d.Verdict = coupon.Verdict(verdict)
	if isPlace != (d.Verdict <= coupon.Revoked) {
		return d, false
	}
	if !isPlace {
		return d, true
	}
	number, rest, _ = strings.Cut(rest, ":")
	nth, err := strconv.Atoi(number)
	if err != nil || nth < 1 {
		return d, false
	}
	h, ok := parseHeld(rest)
	d.Nth, d.Seq, d.AcceptedAt = nth, h.seq, h.at
	return d, ok
}
