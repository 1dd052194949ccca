package publish_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
)

const m = 500 * time.Millisecond

// shop is a publisher on a book and a gate in memory, in a bubble's time.
type shop struct {
	t     *testing.T
	ctx   context.Context
	book  *fakebook.Book
	gate  *memgate.Gate
	asked []coupon.UnsoundError
	names int
}

func open(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		test(t, (&shop{}).fresh(t))
	})
}

// fresh is another one.
func (*shop) fresh(t *testing.T) *shop {
	t.Helper()
	return &shop{t: t, ctx: context.Background(), book: fakebook.NewBook(), gate: memgate.New(memgate.Options{})}
}

func free(_ string, do func() error) error { return do() }

func (s *shop) publisher(step stepped.Step) *publish.Publisher {
	book := stepped.NewBook(s.book, step)
	return publish.New(publish.Deps{
		Book: book, Gate: stepped.NewGate(s.gate, step), Refs: book, M: m, Log: slog.New(slog.DiscardHandler),
		OnUnsound: func(e coupon.UnsoundError) { s.asked = append(s.asked, e) },
	})
}

func total(n int64) *int64 { return &n }

func (s *shop) draft(eventID int64, places *int64) coupon.Coupon {
	s.names++
	now := time.Now().UTC()
	return coupon.Coupon{
		Name: fmt.Sprintf("coupon %d", s.names), VendorID: 1, EventID: eventID, Kind: coupon.FirstComeIssue, PerUserLimit: 1,
		Terms: coupon.Terms{Total: places, State: coupon.StateOpen, OpensAt: now, ClosesAt: now.Add(time.Hour)},
	}
}

func (s *shop) publish(eventID int64, places *int64) coupon.Coupon {
	s.t.Helper()
	r := s.publisher(free).Coupons(s.ctx, []coupon.Coupon{s.draft(eventID, places)})[0]
	require.NoError(s.t, r.Err)
	return r.Coupon
}

func (s *shop) event() coupon.Event {
	s.t.Helper()
	name := "e"
	e, err := s.publisher(free).Event(s.ctx, coupon.Event{Name: name, StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour)})
	require.NoError(s.t, err)
	return e
}

func (s *shop) ref(id int64) coupon.Ref {
	s.t.Helper()
	ref, err := s.book.Refresh(s.ctx, id)
	require.NoError(s.t, err)
	return ref
}

func (s *shop) coupon(id int64) coupon.Coupon {
	s.t.Helper()
	c, err := s.book.Coupon(s.ctx, id)
	require.NoError(s.t, err)
	return c
}

func (s *shop) view(id int64) coupon.View {
	s.t.Helper()
	answer := s.gate.Views(s.ctx, []coupon.Ref{s.ref(id)})[0]
	require.NoError(s.t, answer.Err)
	return answer.View
}

// claim gives the user a row at once when the gate admits.
func (s *shop) claim(id int64, user string) coupon.Verdict {
	s.t.Helper()
	answer := s.gate.Admit(s.ctx, []admission.Call{{Ref: s.ref(id), Asks: []admission.Ask{{UserID: user}}}})[0]
	require.NoError(s.t, answer.Err)
	d := answer.Decisions[0]
	if d.Verdict == coupon.Admitted {
		p := coupon.Place{CouponID: id, UserID: user, Nth: d.Nth, Seq: d.Seq, Epoch: answer.Epoch}
		s.book.Begin(0, d.Seq, p).Commit()
		stands := s.gate.Confirm(s.ctx, []admission.ConfirmCall{{Ref: s.ref(id), Places: []coupon.Place{p}}})[0]
		require.NoError(s.t, stands.Err)
	}
	return d.Verdict
}

// rebuild is what a rebuild does for a gate, in short.
func (s *shop) rebuild(tag string) {
	s.t.Helper()
	marks, err := s.book.BumpEpochs(s.ctx, []string{tag}, "rebuild", time.Second, true)
	require.NoError(s.t, err)
	mark := s.gate.Mark(s.ctx, marks)[0]
	require.NoError(s.t, mark.Err)
	opening := coupon.Opening{Mark: mark.Mark, Event: tag[0] == 'e'}
	require.NoError(s.t, s.book.LoadTags(s.ctx, []string{tag}, func(coupons []coupon.Coupon) error {
		for _, c := range coupons {
			rows := s.book.Rows(c.ID)
			if err := s.gate.LoadRows(s.ctx, mark.Mark, s.ref(c.ID), rows); err != nil {
				return err
			}
			n := int64(len(rows))
			opening.Coupons = append(opening.Coupons, coupon.OpeningCoupon{
				Ref: s.ref(c.ID), Terms: c.Terms, Revision: c.Applied, Holders: n, LastSeq: n,
			})
			opening.Members += n
		}
		return nil
	}, func(coupon.Ref, []coupon.Place) error { return nil }))
	require.NoError(s.t, s.gate.Open(s.ctx, []coupon.Opening{opening})[0])
}

// settled waits until nothing waits at the gate and requires that it has the book's terms.
func (s *shop) settled(id int64) coupon.Terms {
	s.t.Helper()
	pass(m)
	view := s.view(id)
	require.False(s.t, view.Changing)
	require.True(s.t, view.Same(s.coupon(id).Terms), "gate %+v, book %+v", view.Terms, s.coupon(id).Terms)
	return view.Terms
}

// pass lets the bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }

func request(reason string) publish.ChangeRequest {
	return publish.ChangeRequest{Reason: reason, By: "admin"}
}

func lower(n int64) publish.ChangeRequest {
	r := request("places")
	places := total(n)
	r.Total = &places
	return r
}

func state(to coupon.State) publish.ChangeRequest {
	r := request("state")
	r.State = &to
	return r
}

func window(opens, closes time.Time) publish.ChangeRequest {
	r := request("window")
	r.OpensAt, r.ClosesAt = &opens, &closes
	return r
}

func contextWith(s *shop) (context.Context, context.CancelFunc) { return context.WithCancel(s.ctx) }

// admitOnly is a claim whose record no consumer has seen yet.
func (s *shop) admitOnly(id int64, user string) {
	s.t.Helper()
	answer := s.gate.Admit(s.ctx, []admission.Call{{Ref: s.ref(id), Asks: []admission.Ask{{UserID: user}}}})[0]
	require.NoError(s.t, answer.Err)
	require.Equal(s.t, coupon.Admitted, answer.Decisions[0].Verdict)
}
