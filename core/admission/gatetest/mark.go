package gatetest

import (
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// markTests: a mark closes the gate, whatever it was, for one attempt to open it.
func markTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"only a greater epoch overtakes":                     onlyGreater,
		"a mark overwrites an open gate whole":               overwritesWhole,
		"a mark on a foreign, lost or marked gate":           marksAnything,
		"the generation never falls":                         generationKept,
		"many tags share a call, one refused hurts no other": manyMarks,
		"two attempts have two tokens":                       tokensDiffer,
	}
}

func onlyGreater(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.rebuild(5, c)
	for _, epoch := range []int64{1, 4, 5} {
		answer := f.Gate.Mark(f.ctx, []coupon.Mark{{Tag: c.Tag, Epoch: epoch}})[0]
		require.ErrorIs(f, answer.Err, coupon.ErrOvertaken)
		require.Empty(f, answer.Token)
		require.NoError(f, f.sound(c.Ref))
	}
	f.mark(c.Tag, 6)
	for _, epoch := range []int64{5, 6} {
		require.ErrorIs(f, f.Gate.Mark(f.ctx, []coupon.Mark{{Tag: c.Tag, Epoch: epoch}})[0].Err, coupon.ErrOvertaken)
	}
	f.mark(c.Tag, 10) // as a number, not as a text
	require.ErrorIs(f, f.Gate.Mark(f.ctx, []coupon.Mark{{Tag: c.Tag, Epoch: 9}})[0].Err, coupon.ErrOvertaken)
}

func overwritesWhole(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a")
	m := f.mark(c.Tag, 2)
	f.requireUnsound(f.try(c.Ref, asksOf("a")...).Err, c.Ref, coupon.WhyMarked)
	// Nothing of the old gate helps: what was not loaded is not there.
	require.NoError(f, f.open(opening(m, c)))
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(c.Ref, "b")))
	require.EqualValues(f, 1, f.view(c.Ref).Taken)
}

func marksAnything(f *fixture) {
	for _, breaking := range []func(tag string){
		f.Restart, f.Failover, f.Flush, func(tag string) { f.Lose(tag, "gate") }, func(tag string) { f.mark(tag, 2) },
	} {
		c := f.lone(5)
		f.publish(c)
		f.admit(c.Ref, "a")
		breaking(c.Tag)
		f.rebuild(3, c)
		require.NoError(f, f.sound(c.Ref))
		require.EqualValues(f, 3, f.view(c.Ref).Epoch)
		require.EqualValues(f, 0, f.view(c.Ref).Taken)
	}
}

func generationKept(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	before := f.view(c.Ref).Generation
	m := f.mark(c.Tag, 2)
	m = f.mark(m.Tag, 3)
	require.NoError(f, f.open(opening(m, c)))
	require.Equal(f, before+1, f.view(c.Ref).Generation)
}

func manyMarks(f *fixture) {
	marks := make([]coupon.Mark, 25)
	for i := range marks {
		c := f.lone(5)
		f.publish(c)
		marks[i] = coupon.Mark{Tag: c.Tag, Epoch: int64(1 + i%2)}
	}
	for i, answer := range f.Gate.Mark(f.ctx, marks) {
		require.Equal(f, marks[i].Tag, answer.Tag)
		if i%2 == 0 {
			require.ErrorIs(f, answer.Err, coupon.ErrOvertaken)
			continue
		}
		require.NoError(f, answer.Err)
		require.NotEmpty(f, answer.Token)
	}
}

func tokensDiffer(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	two := f.mark(c.Tag, 2)
	f.Lose(c.Tag, "gate") // and with it the memory of two
	three := f.mark(c.Tag, 3)
	require.NotEqual(f, two.Token, three.Token)
	require.ErrorIs(f, f.open(opening(two, c)), coupon.ErrOvertaken)
	require.NoError(f, f.open(opening(three, c)))
}
