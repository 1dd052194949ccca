package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/chaos/check"
	"github.com/firstcome/firstcome/e2e/chaos/history"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// at is so many seconds after noon.
func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func num(n int64) *int64 { return &n }

func when(seconds float64) *time.Time { t := at(seconds); return &t }

// sale publishes coupon id with so many places at noon, open for 1000 s.
func sale(id, total int64, limit int, event int64) history.Exchange {
	return history.Exchange{
		What: history.Publish, From: at(-2), To: at(-1), Coupon: id, Status: 201,
		Terms: &history.Terms{Total: &total, OpensAt: when(0), ClosesAt: when(1000), Limit: limit, Event: event},
	}
}

// won is a 202 at that second; the place was accepted 0.1 s before.
func won(coupon int64, user string, seq int64, second float64) history.Exchange {
	return history.Exchange{
		What: history.Claim, Coupon: coupon, User: user, From: at(second - 0.2), To: at(second), Status: 202,
		Nth: 1, Seq: seq, AcceptedAt: at(second - 0.1),
	}
}

// no is a refusal at that second.
func no(coupon int64, user, code string, second float64) history.Exchange {
	return history.Exchange{
		What: history.Claim, Coupon: coupon, User: user, From: at(second - 0.2), To: at(second), Status: 409, Code: code,
	}
}

// changed is an admin's change of coupon 1, asked at from and answered at to.
func changed(t history.Terms, status int, from, to float64) history.Exchange {
	return history.Exchange{What: history.Change, Coupon: 1, From: at(from), To: at(to), Status: status, Terms: &t}
}

// mine is what user a hears of the first claim at that second; issue "": nothing.
func mine(issue string, seq int64, second float64) history.Exchange {
	e := history.Exchange{
		What: history.Mine, Coupon: 1, User: "a", Nth: 1, From: at(second - 0.1), To: at(second), Status: 200, Issue: issue, Seq: seq,
	}
	if issue == "" {
		e.Status, e.Code = 404, "no_issue"
	}
	return e
}

func with(e history.Exchange, change func(*history.Exchange)) history.Exchange {
	change(&e)
	return e
}

func found(history ...history.Exchange) map[string]int {
	c := check.New()
	for _, e := range history {
		c.See(e)
	}
	_, found := c.Verdict()
	return found
}

// What a sound system says is never a finding, however odd it looks: answers that are missing, receipts by another api,
// refusals that came too late to be wrong, changes of which nobody knows whether they came.
func TestASoundHistoryHasNoFindings(t *testing.T) {
	t.Parallel()
	receipt := won(1, "a", 1, 5)
	require.Empty(t, found(
		sale(1, 2, 1, 0), sale(2, 5, 1, 9), sale(3, 5, 1, 9), sale(4, 9, 2, 0),
		with(no(1, "z", "", 2), func(e *history.Exchange) { e.Status, e.Err = 0, "reset" }),
		with(no(1, "z", "unavailable", 3), func(e *history.Exchange) { e.Status = 503 }),
		receipt, with(receipt, func(e *history.Exchange) { e.Status, e.From, e.To, e.API = 200, at(6), at(7), 1 }),
		with(mine("accepted", 1, 8), func(e *history.Exchange) { e.AcceptedAt = receipt.AcceptedAt }),
		won(1, "b", 3, 8.5), // numbers may have gaps: a place that nobody was promised can be lost
		no(1, "c", "sold_out", 9),
		changed(history.Terms{Total: num(3)}, 0, 10, 11), // no answer, and yet it holds
		won(1, "c", 4, 12),
		changed(history.Terms{State: "paused"}, 200, 13, 14), no(1, "d", "paused", 15),
		changed(history.Terms{State: "open"}, 200, 20, 21), no(1, "d", "paused", 21.5), // until M later
		no(1, "d", "sold_out", 30),
	))
	require.Empty(t, found(sale(2, 5, 1, 9), sale(3, 5, 1, 9), won(2, "a", 1, 31), no(3, "a", "event_limit", 32)))
	limit2 := func(e *history.Exchange) { e.Key = "k1" }
	require.Empty(t, found(
		sale(4, 9, 2, 0), with(won(4, "a", 1, 5), limit2),
		with(won(4, "a", 2, 6), func(e *history.Exchange) { e.Key, e.Nth = "k2", 2 }),
		with(no(4, "a", "user_limit", 7), func(e *history.Exchange) { e.Key = "k3" }),
	))
}

// Each line of the rules has a history that breaks it and nothing else.
func TestEachRuleHasAHistoryThatBreaksIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule    string
		history []history.Exchange
	}{
		"another number when asked again": {"same_answer", []history.Exchange{
			sale(1, 9, 1, 0), won(1, "a", 1, 5), with(won(1, "a", 2, 9), func(e *history.Exchange) { e.AcceptedAt = at(4.9) }),
		}},
		"another time of acceptance": {"same_answer", []history.Exchange{sale(1, 9, 1, 0), won(1, "a", 1, 5), won(1, "a", 1, 9)}},
		"another number in issues/me": {"same_answer", []history.Exchange{
			sale(1, 9, 1, 0), won(1, "a", 1, 5), with(mine("issued", 2, 9), func(e *history.Exchange) { e.AcceptedAt = at(4.9) }),
		}},
		"a winner hears sold out": {"refused_winner", []history.Exchange{sale(1, 1, 1, 0), won(1, "a", 1, 5), no(1, "a", "sold_out", 6)}},
		"a winner hears closed": {"refused_winner", []history.Exchange{
			sale(1, 1, 1, 0), won(1, "a", 1, 5), changed(history.Terms{State: "closed"}, 200, 6, 7), no(1, "a", "closed", 8),
		}},
		"a winner hears no issue": {"refused_winner", []history.Exchange{sale(1, 1, 1, 0), won(1, "a", 1, 5), mine("", 0, 6)}},
		"a winner hears rejected": {"refused_winner", []history.Exchange{sale(1, 1, 1, 0), won(1, "a", 1, 5), mine("rejected", 0, 6)}},
		"one number for two":      {"seq_twice", []history.Exchange{sale(1, 9, 1, 0), won(1, "a", 1, 5), won(1, "b", 1, 6)}},
		"a third place of two": {"over_limit", []history.Exchange{
			sale(1, 9, 2, 0), with(won(1, "a", 1, 5), func(e *history.Exchange) { e.Key = "k1" }),
			with(won(1, "a", 2, 6), func(e *history.Exchange) { e.Key, e.Nth = "k2", 2 }),
			with(won(1, "a", 3, 7), func(e *history.Exchange) { e.Key, e.Nth = "k3", 3 }),
		}},
		"one place by two keys": {"over_limit", []history.Exchange{
			sale(1, 9, 2, 0), with(won(1, "a", 1, 5), func(e *history.Exchange) { e.Key = "k1" }),
			with(won(1, "a", 2, 6), func(e *history.Exchange) { e.Key = "k2" }),
		}},
		"two coupons of an event": {"over_limit", []history.Exchange{
			sale(1, 9, 1, 7), sale(2, 9, 1, 7), won(1, "a", 1, 5), won(2, "a", 1, 6),
		}},
		"one more than the cap": {"over_cap", []history.Exchange{sale(1, 1, 1, 0), won(1, "a", 1, 5), won(1, "b", 2, 6)}},
		"more than the lowered cap": {"over_cap", []history.Exchange{
			sale(1, 5, 1, 0), won(1, "a", 1, 5), changed(history.Terms{Total: num(2)}, 200, 6, 7), won(1, "b", 2, 8), won(1, "c", 3, 9),
		}},
		"before the cap was raised": {"over_cap", []history.Exchange{
			sale(1, 1, 1, 0), won(1, "a", 1, 5), won(1, "b", 2, 6), changed(history.Terms{Total: num(5)}, 200, 6.5, 7),
		}},
		"a raise that was refused": {"over_cap", []history.Exchange{
			sale(1, 1, 1, 0), won(1, "a", 1, 5), changed(history.Terms{Total: num(5)}, 400, 6, 6.1), won(1, "b", 2, 20),
		}},
		"after the end":      {"outside_terms", []history.Exchange{sale(1, 9, 1, 0), won(1, "a", 1, 1001)}},
		"before the opening": {"outside_terms", []history.Exchange{sale(1, 9, 1, 0), won(1, "a", 1, -0.1)}},
		"while it is paused": {"outside_terms", []history.Exchange{
			sale(1, 9, 1, 0), changed(history.Terms{State: "paused"}, 200, 2, 3), won(1, "a", 1, 5),
		}},
		"sold out with places left": {"false_refusal", []history.Exchange{sale(1, 9, 1, 0), won(1, "a", 1, 5), no(1, "b", "sold_out", 6)}},
		"paused and never was":      {"false_refusal", []history.Exchange{sale(1, 9, 1, 0), no(1, "b", "paused", 6)}},
		"paused long after reopening": {"false_refusal", []history.Exchange{
			sale(1, 9, 1, 0), changed(history.Terms{State: "paused"}, 200, 2, 3), changed(history.Terms{State: "open"}, 200, 4, 5),
			no(1, "b", "paused", 20),
		}},
		"closed too early":        {"false_refusal", []history.Exchange{sale(1, 9, 1, 0), no(1, "b", "closed", 6)}},
		"not open, and it was":    {"false_refusal", []history.Exchange{sale(1, 9, 1, 0), no(1, "b", "not_open", 60)}},
		"event limit for nothing": {"false_refusal", []history.Exchange{sale(1, 9, 1, 7), sale(2, 9, 1, 7), no(1, "b", "event_limit", 6)}},
		"user limit too early": {"false_refusal", []history.Exchange{
			sale(1, 9, 2, 0), with(no(1, "a", "user_limit", 5), func(e *history.Exchange) { e.Key = "k1" }),
		}},
		"an unknown code":    {"strange_answer", []history.Exchange{sale(1, 9, 1, 0), no(1, "b", "coupon_not_found", 6)}},
		"somebody's receipt": {"strange_answer", []history.Exchange{sale(1, 9, 1, 0), with(won(1, "a", 1, 5), func(e *history.Exchange) { e.Err = "for b" })}},
		"fewer than none left": {"strange_answer", []history.Exchange{
			sale(1, 9, 1, 0), {What: history.Look, Coupon: 1, From: at(1), To: at(2), Status: 200, Remaining: num(-1)},
		}},
		"no answer at rest": {"no_rest", []history.Exchange{
			sale(1, 9, 1, 0), with(no(1, "b", "unavailable", 6), func(e *history.Exchange) { e.Status, e.Rest = 503, true }),
		}},
		"no row at rest": {"no_rest", []history.Exchange{
			sale(1, 9, 1, 0), won(1, "a", 1, 5),
			with(mine("accepted", 1, 6), func(e *history.Exchange) { e.AcceptedAt, e.Rest = at(4.9), true }),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, map[string]int{c.rule: 1}, found(c.history...))
		})
	}
}

// A change without an answer may have come, or may come for a minute yet; a later one that was asked for after that ends
// it for good.
func TestAChangeWithoutAnAnswerHoldsOrDoesNot(t *testing.T) {
	t.Parallel()
	lost := changed(history.Terms{Total: num(5)}, 0, 1, 2)
	begin := []history.Exchange{sale(1, 1, 1, 0), lost}
	soon := append(begin, changed(history.Terms{Total: num(1)}, 200, 30, 31), won(1, "a", 1, 40), won(1, "b", 2, 41))
	require.Empty(t, found(soon...), "the lost raise may come after the lowering")
	late := append(begin, changed(history.Terms{Total: num(1)}, 200, 90, 91), won(1, "a", 1, 95), won(1, "b", 2, 96))
	require.Equal(t, map[string]int{"over_cap": 1}, found(late...), "by then it has come or never will")
}

func TestPromisesAreListedByCouponAndNumber(t *testing.T) {
	t.Parallel()
	c := check.New()
	for _, e := range []history.Exchange{sale(2, 9, 1, 0), sale(1, 9, 1, 0), won(2, "a", 1, 5), won(1, "b", 2, 6), won(1, "a", 1, 7)} {
		c.See(e)
	}
	var order []int64
	for _, p := range c.Promises() {
		order = append(order, p.Coupon*10+p.Seq)
	}
	require.Equal(t, []int64{11, 12, 21}, order)
}
