package gatetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// confirmTests: only the very place that the journal has is confirmed, however late.
func confirmTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"a place stands and leaves pending":          standsOnce,
		"another seq, epoch or user is unknown":      unknownPlaces,
		"the same seq of an epoch before is unknown": overtakenPlace,
		"twice is once":                              confirmReplay,
		"one place twice in a batch":                 confirmTwiceInBatch,
		"a batch has at most so many places":         confirmBound,
		"a place of a paused and full coupon stands": confirmPaused,
		"many coupons share a call":                  confirmMany,
	}
}

func standsOnce(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a", "b")
	require.Equal(f, []bool{true}, f.confirm(c.Ref, place("a", 1, 1)))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Pending}, verdicts(f.admit(c.Ref, "a", "b")))
	view := f.view(c.Ref)
	require.EqualValues(f, 1, view.Pending)
	require.EqualValues(f, 2, view.Taken)
}

func unknownPlaces(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a", "b")
	require.Equal(f, make([]bool, 6), f.confirm(c.Ref, place("a", 2, 1), place("a", 0, 1), place("a", 1, 0), place("a", 1, 2),
		place("c", 1, 1), place("A", 1, 1)))
	require.EqualValues(f, 2, f.view(c.Ref).Pending)
	require.Equal(f, []coupon.Verdict{coupon.Pending, coupon.Pending}, verdicts(f.admit(c.Ref, "a", "b")))
}

// The gate was lost before the journal had a's record, and a asked again after the rebuild: the same seq, another reign.
// The late acknowledgement of the old record says nothing about the new place.
func overtakenPlace(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	require.EqualValues(f, 1, f.admit(c.Ref, "a")[0].Seq)
	f.rebuild(2, c)
	require.EqualValues(f, 1, f.admit(c.Ref, "a")[0].Seq)
	require.Equal(f, []bool{false}, f.confirm(c.Ref, place("a", 1, 1)))
	require.Equal(f, []coupon.Verdict{coupon.Pending}, verdicts(f.admit(c.Ref, "a")))
	require.Equal(f, []bool{true}, f.confirm(c.Ref, place("a", 1, 2)))
	require.Equal(f, []coupon.Verdict{coupon.Holder}, verdicts(f.admit(c.Ref, "a")))
}

func confirmReplay(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a", "b")
	for range 3 {
		require.Equal(f, []bool{true, false}, f.confirm(c.Ref, place("a", 1, 1), place("b", 1, 1)))
		require.EqualValues(f, 1, f.view(c.Ref).Pending)
	}
	require.NoError(f, f.sound(c.Ref))
}

func confirmTwiceInBatch(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a", "b")
	require.Equal(f, []bool{true, true, true}, f.confirm(c.Ref, place("a", 1, 1), place("b", 2, 1), place("a", 1, 1)))
	require.EqualValues(f, 0, f.view(c.Ref).Pending)
	require.NoError(f, f.sound(c.Ref))
}

func confirmBound(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	users, places := make([]string, admission.MaxBatch), make([]coupon.Place, admission.MaxBatch+1)
	for i := range places {
		places[i] = place(fmt.Sprint("u", i), int64(i+1), 1)
		if i < len(users) {
			users[i] = places[i].UserID
		}
	}
	f.admit(c.Ref, users...)
	answers := f.Gate.Confirm(f.ctx, []admission.ConfirmCall{{Ref: c.Ref, Places: places}})
	require.Error(f, answers[0].Err)
	require.EqualValues(f, admission.MaxBatch, f.view(c.Ref).Pending)
	require.NotContains(f, f.confirm(c.Ref, places[:admission.MaxBatch]...), false)
	require.EqualValues(f, 0, f.view(c.Ref).Pending)
}

func confirmPaused(f *fixture) {
	c := f.lone(1)
	f.publish(c)
	f.admit(c.Ref, "a")
	paused := c.Terms
	paused.State = coupon.StatePaused
	_, err := f.Gate.Change(f.ctx, coupon.TermsChange{Ref: c.Ref, To: paused, Revision: 1, Wait: wait})
	require.NoError(f, err)
	require.Equal(f, []bool{true}, f.confirm(c.Ref, place("a", 1, 1)))
}

func confirmMany(f *fixture) {
	calls := make([]admission.ConfirmCall, 20)
	for i := range calls {
		c := f.lone(5)
		f.publish(c)
		f.admit(c.Ref, "a")
		calls[i] = admission.ConfirmCall{Ref: c.Ref, Places: []coupon.Place{place("a", int64(1+i%2), 1)}}
	}
	for i, answer := range f.Gate.Confirm(f.ctx, calls) {
		require.NoError(f, answer.Err)
		require.Equal(f, []bool{i%2 == 0}, answer.Stands)
	}
}
