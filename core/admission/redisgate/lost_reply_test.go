package redisgate_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/coupon"
)

// wire stands between client and server. Armed, it loses the reply to the next script call with its connection, as a
// failing network does.
type wire struct {
	listener net.Listener
	server   string
	armed    atomic.Bool
	lost     atomic.Int64
	conns    sync.WaitGroup
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own listener
	require.NoError(t, err)
	w := &wire{listener: listener, server: server}
	w.conns.Go(w.accept)
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		w.conns.Wait()
	})
	return w
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.server) //nolint:noctx // ends with its peer
		if err != nil {
			_ = client.Close() // the client sees it
			continue
		}
		var losing atomic.Bool
		w.conns.Go(func() {
			pass(server, client, func(request []byte) bool {
				if bytes.Contains(request, []byte("\r\neval")) && w.armed.CompareAndSwap(true, false) {
					losing.Store(true)
				}
				return true
			})
		})
		w.conns.Go(func() {
			pass(client, server, func([]byte) bool {
				if losing.Load() {
					w.lost.Add(1)
				}
				return !losing.Load()
			})
		})
	}
}

// pass copies until either side closes or let says no, and then closes both.
func pass(to, from net.Conn, let func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err == nil && !let(buf[:n]) {
			err = io.EOF
		}
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			_, _ = to.Close(), from.Close() // the other direction may have closed them
			return
		}
	}
}

func TestALostReplyDoesNoHarm(t *testing.T) {
	t.Parallel()
	h := onEmbedded(t)
	w := newWire(t, h.server.Addr())
	g, err := redisgate.Open(t.Context(), redisgate.Config{Addrs: []string{w.listener.Addr().String()}}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	for _, source := range redisgate.Sources() { // the server knows them: what gets lost is the answer of a script that ran
		require.NoError(t, h.client.ScriptLoad(t.Context(), source).Err())
	}
	ctx := t.Context()
	losing := func(call func()) {
		t.Helper()
		before := w.lost.Load()
		w.armed.Store(true)
		call()
		require.Equal(t, before+1, w.lost.Load())
	}
	siblings := []int64{5, 6}
	ref := coupon.Ref{Tag: "e9", CouponID: 5, EventID: 9, PerUserLimit: 1, Member: true, Siblings: siblings}
	c := coupon.OpeningCoupon{Ref: ref, Terms: openTerms()}

	losing(func() {
		answer := g.Mark(ctx, []coupon.Mark{{Tag: "e9", Epoch: 1}})[0]
		require.Error(t, answer.Err)
		require.NotErrorIs(t, answer.Err, coupon.ErrOvertaken, "the mark was sent twice")
		require.Empty(t, answer.Token)
	})
	require.ErrorIs(t, g.Mark(ctx, []coupon.Mark{{Tag: "e9", Epoch: 1}})[0].Err, coupon.ErrOvertaken, "and yet it stands")
	m := g.Mark(ctx, []coupon.Mark{{Tag: "e9", Epoch: 2}})[0]
	require.NoError(t, m.Err)
	at := time.UnixMicro(1_795_000_000_000_000)
	losing(func() {
		require.NoError(t, g.LoadRows(ctx, m.Mark, ref, []coupon.Place{{UserID: "row", Seq: 1, AcceptedAt: at}}))
	})
	losing(func() {
		added, err := g.LoadTail(ctx, m.Mark, ref, []coupon.Place{
			{UserID: "tail", Seq: 2, AcceptedAt: at}, {UserID: "row", Seq: 3, AcceptedAt: at},
		})
		require.NoError(t, err)
		require.EqualValues(t, 1, added, "the second run must say what the first one did")
	})
	c.Holders, c.LastSeq = 2, 2
	losing(func() {
		require.NoError(t, g.Open(ctx, []coupon.Opening{{Mark: m.Mark, Event: true, Members: 2, Coupons: []coupon.OpeningCoupon{c}}})[0])
	})
	other := c
	other.CouponID, other.Holders, other.LastSeq = 6, 0, 0
	losing(func() { require.NoError(t, g.Join(ctx, other, 2)) })
	losing(func() {
		answer := g.Admit(ctx, []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "row"}, {UserID: "new"}}}})[0]
		require.NoError(t, answer.Err)
		require.Equal(t, []admission.Decision{
			{Verdict: coupon.Holder, Nth: 1, Seq: 1, AcceptedAt: at.UTC()},
			{Verdict: coupon.Pending, Nth: 1, Seq: 3, AcceptedAt: answer.Decisions[1].AcceptedAt},
		}, answer.Decisions)
	})
	losing(func() {
		places, err := g.Sweepable(ctx, ref, admission.Sweep{Limit: 5, Owner: "me", Lease: time.Minute})
		require.NoError(t, err)
		require.Len(t, places, 1)
	})
	losing(func() {
		answer := g.Confirm(ctx, []admission.ConfirmCall{{Ref: ref, Places: []coupon.Place{{UserID: "new", Seq: 3, Epoch: 2}}}})[0]
		require.NoError(t, answer.Err)
		require.Equal(t, []bool{true}, answer.Stands)
	})
	paused := openTerms()
	paused.State = coupon.StatePaused
	losing(func() {
		epoch, err := g.Change(ctx, coupon.TermsChange{Ref: ref, To: paused, Revision: 1, Wait: time.Second})
		require.NoError(t, err)
		require.EqualValues(t, 2, epoch)
	})
	losing(func() {
		view := g.Views(ctx, []coupon.Ref{ref})[0]
		require.NoError(t, view.Err)
		require.EqualValues(t, 3, view.View.Taken)
		require.EqualValues(t, 0, view.View.Pending)
		require.EqualValues(t, 2, view.View.Generation, "opened once, changed once")
	})
}

// A server that forgot its scripts has not run the call; the rest of the pipeline has run and is not run again.
func TestAServerThatForgotItsScripts(t *testing.T) {
	t.Parallel()
	h := onEmbedded(t)
	ctx := t.Context()
	var calls []admission.Call
	for id := int64(1); id <= 20; id++ {
		c := coupon.Coupon{ID: id, PerUserLimit: 1, Kind: coupon.FirstComeIssue, Terms: openTerms()}
		ref := c.Ref([]int64{id})
		m := h.Gate.Mark(ctx, []coupon.Mark{{Tag: ref.Tag, Epoch: 1}})[0]
		require.NoError(t, m.Err)
		open := coupon.Opening{Mark: m.Mark, Coupons: []coupon.OpeningCoupon{{Ref: ref, Terms: c.Terms}}}
		require.NoError(t, h.Gate.Open(ctx, []coupon.Opening{open})[0])
		calls = append(calls, admission.Call{Ref: ref, Asks: []admission.Ask{{UserID: "a"}}})
	}
	for round, verdict := range []coupon.Verdict{coupon.Admitted, coupon.Pending, coupon.Pending} {
		require.NoError(t, h.client.ScriptFlush(ctx).Err())
		for _, answer := range h.Gate.Admit(ctx, calls) {
			require.NoError(t, answer.Err)
			require.Equal(t, verdict, answer.Decisions[0].Verdict, "round %d", round)
		}
	}
}

// More calls than one pipeline takes.
func TestManyTagsInOneCall(t *testing.T) {
	t.Parallel()
	h := onEmbedded(t)
	var marks []coupon.Mark
	for id := int64(1); id <= 300; id++ {
		marks = append(marks, coupon.Mark{Tag: coupon.TagOf(id, 0), Epoch: 1})
	}
	var openings []coupon.Opening
	var refs []coupon.Ref
	for i, answer := range h.Gate.Mark(t.Context(), marks) {
		require.NoError(t, answer.Err)
		c := coupon.Coupon{ID: int64(i + 1), PerUserLimit: 1, Kind: coupon.FirstComeIssue, Terms: openTerms()}
		refs = append(refs, c.Ref([]int64{c.ID}))
		openings = append(openings, coupon.Opening{Mark: answer.Mark, Coupons: []coupon.OpeningCoupon{{Ref: refs[i], Terms: c.Terms}}})
	}
	for _, err := range h.Gate.Open(t.Context(), openings) {
		require.NoError(t, err)
	}
	for _, err := range h.Gate.Sound(t.Context(), refs) {
		require.NoError(t, err)
	}
}

func TestACallEndsWithItsDeadline(t *testing.T) {
	t.Parallel()
	h := onEmbedded(t)
	ref := coupon.Ref{Tag: "c5", CouponID: 5, PerUserLimit: 1}
	deaf, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own listener that never answers
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, deaf.Close()) })
	g := redisgate.New(redisgate.NewClient(t, redisgate.Config{Addrs: []string{deaf.Addr().String()}}))
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	start := time.Now()
	answer := g.Admit(ctx, []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "u"}}}})[0]
	require.Error(t, answer.Err)
	require.NotErrorIs(t, answer.Err, coupon.ErrUnsound, "nobody knows what was decided")
	require.Less(t, time.Since(start), 900*time.Millisecond)

	cancelled, stop := context.WithCancel(t.Context())
	stop()
	require.Error(t, h.Gate.Admit(cancelled, []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "u"}}}})[0].Err)
}
