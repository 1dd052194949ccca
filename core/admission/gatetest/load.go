package gatetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

func loadTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"a row wins over a record, an earlier record over a later": rowsWin,
		"thousands of holders in pages":                            loadPages,
		"in an event the user's other coupon wins":                 memberFirst,
		"an attempt that was overtaken loads nothing":              loadOvertaken,
		"what another attempt loaded is not found":                 loadsApart,
		"each place of a user counts":                              loadMany,
		"no rows are no error":                                     loadNothing,
		"what an attempt drops is gone, and nothing else":          loadDropped,
	}
}

func loadDropped(f *fixture) {
	for _, c := range []coupon.OpeningCoupon{f.lone(9), f.event(1, 9)[0]} {
		f.publish(c)
		m := f.mark(c.Tag, 2)
		load := func(row, record string) coupon.Opening {
			require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, []coupon.Place{f.row(row, 1)}))
			_, err := f.Gate.LoadTail(f.ctx, m, c.Ref, []coupon.Place{f.row(record, 2)})
			require.NoError(f, err)
			c.Holders, c.LastSeq = 2, 2
			o := opening(m, c)
			if o.Event {
				o.Members = 2
			}
			return o
		}
		o := load("a", "b")
		require.NoError(f, f.Gate.Drop(f.ctx, m, []int64{c.CouponID}))
		require.ErrorIs(f, f.open(o), coupon.ErrOvertaken)
		o = load("c", "d")
		another := m
		another.Token += "0"
		require.NoError(f, f.Gate.Drop(f.ctx, another, []int64{c.CouponID}))
		require.NoError(f, f.open(o), "of the first load nothing is left, of this one all is there")
		require.NoError(f, f.Gate.Drop(f.ctx, m, []int64{c.CouponID}), "too late, and harmless")
		require.NoError(f, f.sound(c.Ref))
	}
}

func rowsWin(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	row := f.row("a", 1)
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, []coupon.Place{row}))
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, []coupon.Place{row, f.row("b", 2)})) // a page again
	tail := []coupon.Place{f.row("b", 7), f.row("c", 3), f.row("c", 4), f.row("d", 5)}
	added, err := f.Gate.LoadTail(f.ctx, m, c.Ref, tail)
	require.NoError(f, err)
	require.EqualValues(f, 2, added)
	added, err = f.Gate.LoadTail(f.ctx, m, c.Ref, []coupon.Place{f.row("d", 6), f.row("e", 8)})
	require.NoError(f, err)
	require.EqualValues(f, 1, added)
	c.Holders, c.LastSeq = 5, 8
	require.NoError(f, f.open(opening(m, c)))
	got := f.admit(c.Ref, "a", "b", "c", "d", "e", "f")
	seqs := make([]int64, len(got))
	for i, d := range got {
		seqs[i] = d.Seq
	}
	require.Equal(f, []int64{1, 2, 3, 5, 8, 9}, seqs)
	require.Equal(f, coupon.Holder, got[4].Verdict, "in the journal is not pending")
	require.Equal(f, coupon.Admitted, got[5].Verdict)
	require.Equal(f, row.AcceptedAt.UnixMicro(), got[0].AcceptedAt.UnixMicro())
	require.Equal(f, tail[1].AcceptedAt.UnixMicro(), got[2].AcceptedAt.UnixMicro())
}

func loadPages(f *fixture) {
	const rows, tail = 2300, 1200
	c := f.lone(rows + tail + 1)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	var page []coupon.Place
	load := func(seq int64) {
		if int64(len(page)) < 1000 && seq != rows && seq != rows+tail {
			return
		}
		if seq <= rows {
			require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, page))
		} else {
			added, err := f.Gate.LoadTail(f.ctx, m, c.Ref, page)
			require.NoError(f, err)
			require.EqualValues(f, len(page), added)
		}
		page = nil
	}
	for seq := int64(1); seq <= rows+tail; seq++ {
		page = append(page, f.row(fmt.Sprint("user-", seq), seq))
		load(seq)
	}
	c.Holders, c.LastSeq = rows+tail, rows+tail
	require.NoError(f, f.open(opening(m, c)))
	got := f.admit(c.Ref, "new", "later", "user-1", fmt.Sprint("user-", rows+tail))
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.SoldOut, coupon.Holder, coupon.Holder}, verdicts(got))
	require.EqualValues(f, rows+tail+1, got[0].Seq)
}

func memberFirst(f *fixture) {
	made := f.event(3, 9)
	a, b, use := made[0], made[1], forUse(made[2])
	f.publish(a, b, use)
	m := f.mark(a.Tag, 2)
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, a.Ref, []coupon.Place{f.row("u", 1)}))
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, use.Ref, []coupon.Place{f.row("u", 1)}))
	for _, step := range []struct {
		ref   coupon.Ref
		user  string
		added int64
	}{{b.Ref, "u", 0}, {b.Ref, "v", 1}, {a.Ref, "v", 0}, {b.Ref, "v", 0}, {use.Ref, "v", 1}, {a.Ref, "w", 1}} {
		added, err := f.Gate.LoadTail(f.ctx, m, step.ref, []coupon.Place{f.row(step.user, 2)})
		require.NoError(f, err)
		require.Equal(f, step.added, added, step)
	}
	a.Holders, a.LastSeq, b.Holders, b.LastSeq, use.Holders, use.LastSeq = 2, 2, 1, 2, 2, 2
	o := opening(m, a, b, use)
	o.Members = 3
	require.NoError(f, f.open(o))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.EventLimit, coupon.Holder}, verdicts(f.admit(a.Ref, "u", "v", "w")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Holder, coupon.EventLimit}, verdicts(f.admit(b.Ref, "u", "v", "w")))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Holder, coupon.Admitted}, verdicts(f.admit(use.Ref, "u", "v", "w")))
}

func loadOvertaken(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	two := f.mark(c.Tag, 2)
	rows := []coupon.Place{f.row("a", 1)}
	refused := func(m coupon.Mark) {
		require.ErrorIs(f, f.Gate.LoadRows(f.ctx, m, c.Ref, rows), coupon.ErrOvertaken)
		_, err := f.Gate.LoadTail(f.ctx, m, c.Ref, rows)
		require.ErrorIs(f, err, coupon.ErrOvertaken)
	}
	forged := two
	forged.Token = "1-2"
	refused(forged)
	three := f.mark(c.Tag, 3)
	refused(two)
	require.NoError(f, f.open(opening(three, c)))
	refused(three)
	f.Flush(c.Tag)
	refused(three)
}

func loadsApart(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	two := f.mark(c.Tag, 2)
	require.NoError(f, f.Gate.LoadRows(f.ctx, two, c.Ref, []coupon.Place{f.row("a", 1)}))
	three := f.mark(c.Tag, 3)
	require.NoError(f, f.Gate.LoadRows(f.ctx, three, c.Ref, []coupon.Place{f.row("b", 1), f.row("c", 2)}))
	c.Holders, c.LastSeq = 1, 1
	require.ErrorIs(f, f.open(opening(two, c)), coupon.ErrOvertaken)
	c.Holders, c.LastSeq = 2, 2
	require.NoError(f, f.open(opening(three, c)))
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Holder}, verdicts(f.admit(c.Ref, "a", "b")))
}

func loadMany(f *fixture) {
	c := f.limited(9, 3)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	nth := func(n int, seq int64, key string) coupon.Place {
		p := f.row("u", seq)
		p.Nth, p.Key = n, key
		return p
	}
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, []coupon.Place{nth(1, 1, "k:1")}))
	added, err := f.Gate.LoadTail(f.ctx, m, c.Ref, []coupon.Place{nth(1, 5, "k1"), nth(3, 3, "k3"), nth(3, 4, "k4")})
	require.NoError(f, err)
	require.EqualValues(f, 1, added)
	c.Holders, c.LastSeq = 2, 3
	require.NoError(f, f.open(opening(m, c)))
	got := f.admitAsks(c.Ref, ask("u", "k3"), ask("u", "k:1"), ask("u", "k4"), ask("u", "k5"))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Holder, coupon.Admitted, coupon.UserLimit}, verdicts(got))
	require.Equal(f, []int{3, 1, 2}, []int{got[0].Nth, got[1].Nth, got[2].Nth})
	require.EqualValues(f, 4, got[2].Seq)
}

func loadNothing(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, nil))
	added, err := f.Gate.LoadTail(f.ctx, m, c.Ref, nil)
	require.NoError(f, err)
	require.Zero(f, added)
	require.NoError(f, f.open(opening(m, c)))
}
