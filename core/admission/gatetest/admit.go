package gatetest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

func admitTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"in order of arrival, up to the cap":             orderAndCap,
		"without a cap everybody":                        unlimited,
		"the same user gets the same receipt":            sameReceipt,
		"two asks of one user in one batch are one":      twiceInOneBatch,
		"run twice is run once":                          admitReplay,
		"what refuses first":                             precedence,
		"users are told apart byte by byte":              byteForByte,
		"a batch has at most so many users":              batchBound,
		"an empty batch tells the gate's state":          emptyBatch,
		"what would tear the data apart is refused":      wildNames,
		"a crowd at once gets every place exactly once":  crowd,
		"numbers beyond 32 and up to 53 bits stay exact": bigNumbers,
		"many coupons share a call":                      manyCoupons,
	}
}

func orderAndCap(f *fixture) {
	c := f.lone(3)
	f.publish(c)
	answer := f.try(c.Ref, asksOf("a", "b", "c", "d")...)
	require.NoError(f, answer.Err)
	require.EqualValues(f, 1, answer.Epoch)
	require.Equal(f, c.OpensAt.UnixMicro(), answer.OpensAt.UnixMicro())
	for i, d := range answer.Decisions[:3] {
		require.Equal(f, admission.Decision{Verdict: coupon.Admitted, Nth: 1, Seq: int64(i + 1), AcceptedAt: answer.Now}, d)
	}
	require.Equal(f, admission.Decision{Verdict: coupon.SoldOut}, answer.Decisions[3])
	require.Equal(f, []coupon.Verdict{coupon.SoldOut}, verdicts(f.admit(c.Ref, "e")))
	view := f.view(c.Ref)
	require.EqualValues(f, 3, view.Taken)
	require.EqualValues(f, 3, view.Pending)
}

func unlimited(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	for i := range 5 {
		users := make([]string, 50)
		for j := range users {
			users[j] = fmt.Sprint("u", i*50+j)
		}
		for j, d := range f.admit(c.Ref, users...) {
			require.Equal(f, coupon.Admitted, d.Verdict)
			require.EqualValues(f, i*50+j+1, d.Seq)
		}
	}
	require.Nil(f, f.view(c.Ref).Total)
}

func sameReceipt(f *fixture) {
	c := f.lone(1)
	f.publish(c)
	first := f.admit(c.Ref, "u")[0]
	again := f.admit(c.Ref, "u")[0]
	require.Equal(f, coupon.Pending, again.Verdict)
	f.confirm(c.Ref, place("u", 1, 1))
	settled := f.admit(c.Ref, "x", "u")
	require.Equal(f, []coupon.Verdict{coupon.SoldOut, coupon.Holder}, verdicts(settled))
	for _, d := range []admission.Decision{again, settled[1]} {
		require.Equal(f, first.Seq, d.Seq)
		require.Equal(f, first.AcceptedAt, d.AcceptedAt)
		require.Equal(f, 1, d.Nth)
	}
	require.EqualValues(f, 1, f.view(c.Ref).Taken)
}

func twiceInOneBatch(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	got := f.admit(c.Ref, "a", "a", "b", "a", "b", "c")
	require.Equal(f, []coupon.Verdict{
		coupon.Admitted, coupon.Pending, coupon.Admitted, coupon.Pending, coupon.Pending, coupon.SoldOut,
	}, verdicts(got))
	require.Equal(f, []int64{1, 1, 2, 1, 2}, []int64{got[0].Seq, got[1].Seq, got[2].Seq, got[3].Seq, got[4].Seq})
	require.EqualValues(f, 2, f.view(c.Ref).Taken)
}

// A client that lost the reply sends the call again: the same places, and none more.
func admitReplay(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	first, second := f.admit(c.Ref, "a", "b", "c"), f.admit(c.Ref, "a", "b", "c")
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Admitted, coupon.SoldOut}, verdicts(first))
	require.Equal(f, []coupon.Verdict{coupon.Pending, coupon.Pending, coupon.SoldOut}, verdicts(second))
	require.Equal(f, first[0].Seq, second[0].Seq)
	require.Equal(f, first[1].Seq, second[1].Seq)
	require.EqualValues(f, 2, f.view(c.Ref).Taken)
	require.EqualValues(f, 2, f.view(c.Ref).Pending)
}

func precedence(f *fixture) {
	past, future := f.lone(1), f.lone(1)
	past.OpensAt, past.ClosesAt = past.OpensAt.Add(-wait), past.OpensAt
	future.OpensAt = future.ClosesAt.Add(-wait)
	for _, step := range []struct {
		c      coupon.OpeningCoupon
		state  coupon.State
		expect coupon.Verdict
	}{
		{past, coupon.StateOpen, coupon.Closed},
		{past, coupon.StatePaused, coupon.Closed},
		{future, coupon.StateClosed, coupon.Closed},
		{future, coupon.StatePaused, coupon.NotOpen},
		{future, coupon.StateOpen, coupon.NotOpen},
		{f.lone(1), coupon.StatePaused, coupon.Paused},
		{f.lone(1), coupon.StateClosed, coupon.Closed},
		{f.lone(1), coupon.StateOpen, coupon.SoldOut},
	} {
		c := f.lone(1)
		c.Terms = step.c.Terms
		c.State = step.state
		f.publish(c)
		f.rebuild(2, c, f.row("holder", 1)) // full, too
		got := f.admit(c.Ref, "holder", "new")
		require.Equal(f, []coupon.Verdict{coupon.Holder, step.expect}, verdicts(got))
	}
}

func byteForByte(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	users := []string{
		"alice", "Alice", "ALICE", "alice.", "a-l:i_c.e@x", "1", "01", "1.0", "-1", "0x1", "nan", "inf", "x1:1",
		strings.Repeat("u", coupon.MaxUserID), strings.Repeat("u", coupon.MaxUserID-1),
	}
	for i, d := range f.admit(c.Ref, users...) {
		require.Equal(f, coupon.Admitted, d.Verdict, users[i])
		require.EqualValues(f, i+1, d.Seq)
	}
	for i, d := range f.admit(c.Ref, users...) {
		require.Equal(f, coupon.Pending, d.Verdict, users[i])
		require.EqualValues(f, i+1, d.Seq)
	}
}

func batchBound(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	users := make([]string, admission.MaxBatch+1)
	for i := range users {
		users[i] = fmt.Sprint("u", i)
	}
	require.Error(f, f.try(c.Ref, asksOf(users...)...).Err)
	require.EqualValues(f, 0, f.view(c.Ref).Taken)
	require.Len(f, f.admit(c.Ref, users[1:]...), admission.MaxBatch)
	require.EqualValues(f, admission.MaxBatch, f.view(c.Ref).Taken)
}

func emptyBatch(f *fixture) {
	c := f.lone(1)
	f.publish(c)
	answer := f.try(c.Ref)
	require.NoError(f, answer.Err)
	require.Empty(f, answer.Decisions)
	require.EqualValues(f, 1, answer.Epoch)
	require.Empty(f, f.confirm(c.Ref))
	require.Empty(f, f.Gate.Admit(f.ctx, nil))
	require.Empty(f, f.Gate.Confirm(f.ctx, nil))
	require.Empty(f, f.Gate.Views(f.ctx, nil))
	require.Empty(f, f.Gate.Sound(f.ctx, nil))
	require.Empty(f, f.Gate.Mark(f.ctx, nil))
	require.Empty(f, f.Gate.Open(f.ctx, nil))
}

func wildNames(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	for _, user := range []string{"", " ", "a b", "a\nb", "a\x1f1", "a\x00", strings.Repeat("u", coupon.MaxUserID+1)} {
		require.Error(f, f.try(c.Ref, admission.Ask{UserID: user}).Err, "%q", user)
	}
	wrong := c.Ref
	wrong.Tag = "c1"
	require.Error(f, f.try(wrong, admission.Ask{UserID: "u"}).Err)
	require.EqualValues(f, 0, f.view(c.Ref).Taken)
}

func crowd(f *fixture) {
	const places, users, askers = 60, 150, 12
	c := f.lone(places)
	f.publish(c)
	var mu sync.Mutex
	seqs := make(map[int64]string)
	admitted, refused := 0, 0
	var group sync.WaitGroup
	for asker := range askers {
		group.Go(func() {
			// Every user is asked for by several, in different orders and batches.
			for i := 0; i < users; i += 10 {
				batch := make([]string, 10)
				for j := range batch {
					batch[j] = fmt.Sprint("u", (asker*37+i+j)%users)
				}
				answer := f.Gate.Admit(f.ctx, []admission.Call{{Ref: c.Ref, Asks: asksOf(batch...)}})[0]
				mu.Lock()
				for j, d := range answer.Decisions {
					switch d.Verdict {
					case coupon.Admitted, coupon.Pending:
						if d.Verdict == coupon.Admitted {
							admitted++
						}
						if owner, taken := seqs[d.Seq]; taken && owner != batch[j] {
							f.Errorf("seq %d is of %s and of %s", d.Seq, owner, batch[j])
						}
						seqs[d.Seq] = batch[j]
					default:
						refused++
					}
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.Equal(f, places, admitted)
	require.Len(f, seqs, places)
	require.Positive(f, refused)
	require.EqualValues(f, places, f.view(c.Ref).Taken)
}

func bigNumbers(f *fixture) {
	for _, last := range []int64{1<<31 - 1, 1 << 33, 999_999_999_999, coupon.MaxID - 5} {
		c := f.lone(coupon.MaxQuantity)
		c.Revision = coupon.MaxID - 10
		f.publish(c)
		m := f.mark(c.Tag, coupon.MaxID-1)
		rows := []coupon.Place{f.row("old", last)}
		require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, rows))
		require.NoError(f, f.open(opening(m, filled(c, rows...))))
		got := f.admit(c.Ref, "a", "b", "old")
		require.Equal(f, []int64{last + 1, last + 2, last}, []int64{got[0].Seq, got[1].Seq, got[2].Seq})
		require.Equal(f, []bool{true, false, true}, f.confirm(c.Ref,
			place("a", last+1, coupon.MaxID-1), place("b", last+1, coupon.MaxID-1), place("b", last+2, coupon.MaxID-1)))
		swept := f.admit(c.Ref, "c")
		require.Equal(f, last+3, swept[0].Seq)
		p, verdict, err := f.Gate.Holder(f.ctx, c.Ref, "c", 0)
		require.NoError(f, err)
		require.Equal(f, coupon.Pending, verdict)
		require.Equal(f, last+3, p.Seq)
		require.EqualValues(f, coupon.MaxID-1, p.Epoch)
		view := f.view(c.Ref)
		require.EqualValues(f, coupon.MaxQuantity, *view.Total)
		require.EqualValues(f, 4, view.Taken)
		narrower := c.Terms
		narrower.Total = count(coupon.MaxQuantity - 1)
		_, err = f.Gate.Change(f.ctx, coupon.TermsChange{Ref: c.Ref, To: narrower, Revision: coupon.MaxID - 9, Wait: wait})
		require.NoError(f, err)
		require.EqualValues(f, coupon.MaxQuantity-1, *f.view(c.Ref).Total)
	}
}

func manyCoupons(f *fixture) {
	const coupons = 30
	calls := make([]admission.Call, coupons)
	for i := range calls {
		c := f.lone(int64(i%3 + 1))
		f.publish(c)
		calls[i] = admission.Call{Ref: c.Ref, Asks: asksOf("a", "b", "c")}
	}
	for i, answer := range f.Gate.Admit(f.ctx, calls) {
		require.NoError(f, answer.Err)
		for j, d := range answer.Decisions {
			require.Equal(f, j <= i%3, d.Verdict == coupon.Admitted)
		}
	}
}
