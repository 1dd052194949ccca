package redisgate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/gatetest"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/coupon"
)

// recorder keeps every script call that goes over the wire, so that a test can have one arrive once more, later.
type recorder struct {
	mu    sync.Mutex
	calls [][]any
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.mu.Lock()
		for _, cmd := range cmds {
			if strings.HasPrefix(cmd.Name(), "eval") {
				r.calls = append(r.calls, slices.Clone(cmd.Args()))
			}
		}
		r.mu.Unlock()
		return next(ctx, cmds)
	}
}

// A rebuild in many calls (rule 24) of a coupon of an event: each call arrives twice, and each of all calls before arrives
// once more after every later one: while the attempt loads, when its gate is open, when somebody has claimed, and when the
// next attempt has marked, loaded and opened. What the gate holds is what it holds without them.
func TestCallsThatArriveAgainLaterChangeNothing(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, _ gatetest.Gate, client redis.UniversalClient, id int64) {
		ctx := t.Context()
		wire := &recorder{}
		options := &redis.UniversalOptions{ContextTimeoutEnabled: true, ReadTimeout: 30 * time.Second}
		switch c := client.(type) {
		case *redis.ClusterClient:
			options.Addrs, options.IsClusterMode = c.Options().Addrs, true
		case *redis.Client:
			options.Addrs = []string{c.Options().Addr}
		}
		recorded := redis.NewUniversalClient(options)
		recorded.AddHook(wire)
		g := redisgate.New(recorded)
		t.Cleanup(func() { require.NoError(t, g.Close()) })

		tag := fmt.Sprint("e", id)
		ref := coupon.Ref{Tag: tag, CouponID: id, EventID: id, PerUserLimit: 1, Member: true, Siblings: []int64{id, id + 1}}
		other := ref
		other.CouponID = id + 1
		at := time.UnixMicro(1_795_000_000_000_000)
		places := func(prefix string, from, n int) (out []coupon.Place) {
			for i := range n {
				out = append(out, coupon.Place{UserID: fmt.Sprint(prefix, i), Nth: 1, Seq: int64(from + i), AcceptedAt: at})
			}
			return out
		}
		again := func() { // everything that was ever sent
			wire.mu.Lock()
			calls := slices.Clone(wire.calls)
			wire.mu.Unlock()
			for _, args := range calls {
				if args[0] == "evalsha" && client.Do(ctx, args...).Err() != nil {
					t.Errorf("a call that arrives again: %v", client.Do(ctx, args...).Err())
				}
			}
		}
		rebuild := func(epoch int64, rows, tail int) {
			m := g.Mark(ctx, []coupon.Mark{{Tag: tag, Epoch: epoch}})[0]
			require.NoError(t, m.Err)
			again()
			require.NoError(t, g.LoadRows(ctx, m.Mark, ref, places("row", 1, rows)))
			again()
			require.NoError(t, g.LoadRows(ctx, m.Mark, other, places("elsewhere", 1, rows)))
			again()
			records := append(places("row", 5000, 3), places("tail", rows+1, tail)...) // a row wins over a record
			added, err := g.LoadTail(ctx, m.Mark, ref, records)
			require.NoError(t, err)
			require.EqualValues(t, tail, added)
			again()
			open := coupon.Opening{Mark: m.Mark, Event: true, Members: int64(2*rows + tail), Coupons: []coupon.OpeningCoupon{
				{Ref: ref, Terms: openTerms(), Holders: int64(rows + tail), LastSeq: int64(rows + tail)},
				{Ref: other, Terms: openTerms(), Holders: int64(rows), LastSeq: int64(rows)},
			}}
			require.NoError(t, g.Open(ctx, []coupon.Opening{open})[0])
		}
		told := func(user string) (coupon.Place, coupon.Verdict) {
			p, verdict, err := g.Holder(ctx, ref, user, 1)
			require.NoError(t, err)
			return p, verdict
		}

		rebuild(2, 600, 520) // more than one call each
		again()
		answer := g.Admit(ctx, []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "new"}}}})[0]
		require.NoError(t, answer.Err)
		require.EqualValues(t, 1121, answer.Decisions[0].Seq)
		again()
		p, verdict := told("new")
		require.Equal(t, coupon.Pending, verdict)
		require.EqualValues(t, 1121, p.Seq)
		view := g.Views(ctx, []coupon.Ref{ref})[0]
		require.NoError(t, view.Err)
		require.EqualValues(t, 1121, view.View.Taken)
		require.EqualValues(t, 1, view.View.Generation, "opened once")

		rebuild(3, 700, 40) // what came late from the attempt before is not in it
		again()
		view = g.Views(ctx, []coupon.Ref{ref})[0]
		require.NoError(t, view.Err)
		require.EqualValues(t, 3, view.View.Epoch)
		require.EqualValues(t, 741, view.View.Taken, "a claim that arrives late is a claim")
		require.EqualValues(t, 1, view.View.Pending)
		p, _ = told("row1")
		require.EqualValues(t, 2, p.Seq, "of the row, not of the record")
		_, verdict = told("tail300")
		require.Zero(t, verdict, "of the attempt before")
		for _, key := range keysOf(t, client, tag) {
			require.NotContains(t, key, ":load:", "nothing is left of what was loaded")
		}
	})
}

// Redis prints a number of more than 14 digits as a fraction when it is glued to a text, the embedded server does not.
func TestGreatNumbersStayWhole(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, g gatetest.Gate, _ redis.UniversalClient, id int64) {
		ctx := t.Context()
		const seq, epoch = 9_007_199_254_740_000, 9_007_199_254_740_001 // below 2^53
		ref := coupon.Ref{Tag: fmt.Sprint("c", id), CouponID: id, PerUserLimit: 1}
		m := g.Mark(ctx, []coupon.Mark{{Tag: ref.Tag, Epoch: epoch}})[0]
		require.NoError(t, m.Err)
		at := time.UnixMicro(4_102_444_800_123_456)
		require.NoError(t, g.LoadRows(ctx, m.Mark, ref, []coupon.Place{{UserID: "row", Nth: 1, Seq: seq, AcceptedAt: at}}))
		total := int64(coupon.MaxQuantity)
		terms := openTerms()
		terms.Total = &total
		c := coupon.OpeningCoupon{Ref: ref, Terms: terms, Revision: seq, Holders: 1, LastSeq: seq}
		require.NoError(t, g.Open(ctx, []coupon.Opening{{Mark: m.Mark, Coupons: []coupon.OpeningCoupon{c}}})[0])
		answer := g.Admit(ctx, []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "row"}, {UserID: "new"}}}})[0]
		require.NoError(t, answer.Err)
		require.EqualValues(t, epoch, answer.Epoch)
		require.EqualValues(t, seq, answer.Decisions[0].Seq)
		require.Equal(t, at.UTC(), answer.Decisions[0].AcceptedAt)
		require.EqualValues(t, seq+1, answer.Decisions[1].Seq)
		stands := g.Confirm(ctx, []admission.ConfirmCall{{Ref: ref, Places: []coupon.Place{{UserID: "new", Nth: 1, Seq: seq + 1, Epoch: epoch}}}})[0]
		require.NoError(t, stands.Err)
		require.Equal(t, []bool{true}, stands.Stands)
		view := g.Views(ctx, []coupon.Ref{ref})[0]
		require.NoError(t, view.Err)
		require.Equal(t, total, *view.View.Total)
		require.ErrorIs(t, g.Mark(ctx, []coupon.Mark{{Tag: ref.Tag, Epoch: epoch - 1}})[0].Err, coupon.ErrOvertaken)
	})
}
