package ledgertest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

var changeTests = map[string]func(*testing.T, desk){
	"a widening is stored when it is taken":             widening,
	"a narrowing is stored when the gate has taken it":  narrowing,
	"a narrowing below the rows is refused":             belowIssued,
	"a rebuild between gate and book stops a narrowing": overtakenChange,
	"a later change stops a narrowing":                  supersededChange,
	"a decision against it takes no revision":           decidedAgainst,
	"two at once take two revisions":                    twoChanges,
	"a change that is half done is found until it ends": openChanges,
	"a window that moves may be empty for a while":      emptyWindow,
	"a change of a coupon that is not there":            changeUnknown,
	"a widening waits for a rebuild's next epoch":       wideningWaits,
	"the history of changes cannot be rewritten":        historyStands,
}

// change begins a change of one term.
func (b desk) change(t *testing.T, c coupon.Coupon, to func(*coupon.Terms)) coupon.Change {
	t.Helper()
	change, err := b.book.BeginChange(t.Context(), c.ID, func(cur coupon.Terms, _ int64) (coupon.Terms, error) {
		to(&cur)
		return cur, nil
	}, "because of 이유", "admin-1")
	require.NoError(t, err)
	return change
}

func setTotal(n int64) func(*coupon.Terms)        { return func(t *coupon.Terms) { t.Total = &n } }
func setState(s coupon.State) func(*coupon.Terms) { return func(t *coupon.Terms) { t.State = s } }
func setWindow(from, to time.Time) func(*coupon.Terms) {
	return func(t *coupon.Terms) { t.OpensAt, t.ClosesAt = from, to }
}

// requireTerms asserts the terms in the book and the revisions.
func (b desk) requireTerms(t *testing.T, id int64, want coupon.Terms, revision, applied int64) {
	t.Helper()
	got, err := b.book.Coupon(t.Context(), id)
	require.NoError(t, err)
	require.True(t, got.Same(want), "%+v is not %+v", got.Terms, want)
	require.Equal(t, [2]int64{revision, applied}, [2]int64{got.Revision, got.Applied}, "taken, applied")
}

func widening(t *testing.T, b desk) {
	c := b.publish(t, total(10))
	change := b.change(t, c, setTotal(20))
	require.True(t, change.Stored)
	require.EqualValues(t, 1, change.Revision)
	require.EqualValues(t, 1, change.Epoch)
	require.True(t, change.From.Same(c.Terms))
	b.requireTerms(t, c.ID, change.To, 1, 1)
	require.NoError(t, b.book.ApplyChange(t.Context(), change, 1), "applied already")
	require.NoError(t, b.book.ApplyChange(t.Context(), change, 7), "whatever the epoch is now")

	open := b.change(t, c, func(t *coupon.Terms) { t.Total = nil })
	require.True(t, open.Stored)
	b.requireTerms(t, c.ID, open.To, 2, 2)
}

func narrowing(t *testing.T, b desk) {
	c := b.publish(t, total(10))
	change := b.change(t, c, setState(coupon.StatePaused))
	require.False(t, change.Stored)
	b.requireTerms(t, c.ID, c.Terms, 1, 0)
	for range 2 { // the second is a repetition whose answer was lost
		require.NoError(t, b.book.ApplyChange(t.Context(), change, 1))
		b.requireTerms(t, c.ID, change.To, 1, 1)
	}
}

func belowIssued(t *testing.T, b desk) {
	c := b.publish(t, total(10))
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, manyPlaces(c, 6)...)))
	var issued int64
	_, err := b.book.BeginChange(t.Context(), c.ID, func(cur coupon.Terms, n int64) (coupon.Terms, error) {
		issued = n
		return cur, nil
	}, "r", "a")
	require.NoError(t, err)
	require.EqualValues(t, 6, issued)
	below := b.change(t, c, setTotal(5))
	require.ErrorIs(t, b.book.ApplyChange(t.Context(), below, 1), coupon.ErrBelowIssued)
	b.requireTerms(t, c.ID, c.Terms, 2, 1)
	exact := b.change(t, c, setTotal(6))
	require.NoError(t, b.book.ApplyChange(t.Context(), exact, 1))
	b.requireRows(t, c, 6)
}

func overtakenChange(t *testing.T, b desk) {
	c := b.publish(t, total(10))
	change := b.change(t, c, setTotal(5))
	_, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "rebuilder", time.Minute, false)
	require.NoError(t, err)
	require.ErrorIs(t, b.book.ApplyChange(t.Context(), change, 1), coupon.ErrOvertaken)
	b.requireTerms(t, c.ID, c.Terms, 1, 0)
	require.NoError(t, b.book.ApplyChange(t.Context(), change, 2), "after the gate of the new epoch has taken it")
	require.EqualValues(t, 2, b.change(t, c, setTotal(6)).Epoch)
}

func supersededChange(t *testing.T, b desk) {
	c := b.publish(t, total(10))
	first, second := b.change(t, c, setTotal(5)), b.change(t, c, setState(coupon.StateClosed))
	require.ErrorIs(t, b.book.ApplyChange(t.Context(), first, 1), coupon.ErrSuperseded)
	require.NoError(t, b.book.ApplyChange(t.Context(), second, 1))
	require.ErrorIs(t, b.book.ApplyChange(t.Context(), first, 1), coupon.ErrSuperseded)
	b.requireTerms(t, c.ID, second.To, 2, 2)
}

func decidedAgainst(t *testing.T, b desk) {
	c := b.publish(t, total(10))
	no := errors.New("no")
	_, err := b.book.BeginChange(t.Context(), c.ID, func(coupon.Terms, int64) (coupon.Terms, error) {
		return coupon.Terms{}, no
	}, "r", "a")
	require.ErrorIs(t, err, no)
	b.requireTerms(t, c.ID, c.Terms, 0, 0)
	require.Zero(t, b.count(t, "SELECT COUNT(*) FROM coupon_changes WHERE coupon_id = ?", c.ID))
}

func twoChanges(t *testing.T, b desk) {
	const admins = 6
	c := b.publish(t, total(10))
	changes := make([]coupon.Change, admins)
	var all sync.WaitGroup
	for i := range admins {
		all.Go(func() {
			change, err := b.book.BeginChange(t.Context(), c.ID, func(cur coupon.Terms, _ int64) (coupon.Terms, error) {
				cur.Total = ptr(*cur.Total + 1)
				return cur, nil
			}, "more", "admin")
			if err != nil {
				t.Errorf("admin %d: %v", i, err)
			}
			changes[i] = change
		})
	}
	all.Wait()
	seen := make(map[int64]bool)
	for _, change := range changes {
		seen[change.Revision] = true
		require.Equal(t, 10+change.Revision, *change.To.Total, "each began where the one before it ended")
	}
	require.Len(t, seen, admins)
	got, err := b.book.Coupon(t.Context(), c.ID)
	require.NoError(t, err)
	require.EqualValues(t, 16, *got.Total)
}

func openChanges(t *testing.T, b desk) {
	b = b.own(t)
	c, d := b.publish(t, total(10)), b.publish(t)
	first := b.change(t, c, setTotal(20))
	second := b.change(t, d, setTotal(5))
	third := b.change(t, c, setWindow(dayOne.Add(time.Hour), dayOne.Add(2*time.Hour)))
	open := func() []coupon.Change {
		list, err := b.book.OpenChanges(t.Context(), 0, 10)
		require.NoError(t, err)
		return list
	}
	got := open()
	require.Len(t, got, 3)
	for i, want := range []coupon.Change{first, second, third} {
		require.True(t, got[i].From.Same(want.From) && got[i].To.Same(want.To), "%+v is not %+v", got[i], want)
		got[i].From, got[i].To, want.From, want.To = coupon.Terms{}, coupon.Terms{}, coupon.Terms{}, coupon.Terms{}
		require.Equal(t, want, got[i])
	}
	none, err := b.book.OpenChanges(t.Context(), time.Hour, 10)
	require.NoError(t, err)
	require.Empty(t, none, "young ones are left to their makers")

	require.NoError(t, b.book.EndChange(t.Context(), first, "done"))
	require.NoError(t, b.book.EndChange(t.Context(), first, "superseded"), "ended already")
	require.NoError(t, b.book.EndChange(t.Context(), third, "refused"))
	require.Len(t, open(), 1)
	require.EqualValues(t, 1, b.count(t, "SELECT COUNT(*) FROM coupon_change_ends WHERE coupon_id = ? AND revision = 1 AND outcome = 'done'", c.ID))
	require.EqualValues(t, 3, b.count(t, "SELECT COUNT(*) FROM coupon_changes WHERE reason = 'because of 이유' AND changed_by = 'admin-1'"))
}

func emptyWindow(t *testing.T, b desk) {
	c := b.publish(t)
	later := coupon.Terms{State: coupon.StateOpen, OpensAt: c.ClosesAt.Add(time.Hour), ClosesAt: c.ClosesAt.Add(2 * time.Hour)}
	change := b.change(t, c, setWindow(later.OpensAt, later.ClosesAt))
	change.To = change.From.Meet(change.To)
	require.NoError(t, b.book.ApplyChange(t.Context(), change, 1))
	b.requireTerms(t, c.ID, change.To, 1, 1)
}

func changeUnknown(t *testing.T, b desk) {
	_, err := b.book.BeginChange(t.Context(), newID(), func(cur coupon.Terms, _ int64) (coupon.Terms, error) { return cur, nil }, "r", "a")
	require.ErrorIs(t, err, coupon.ErrNotFound)
	require.ErrorIs(t, b.book.ApplyChange(t.Context(), coupon.Change{CouponID: newID()}, 1), coupon.ErrNotFound)
}

// The epoch that a widening notes tells which rebuilds have read it, so no rebuild may take its epoch in between.
func wideningWaits(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has one writer at a time")
	}
	b = b.own(t)
	c := b.publish(t, total(10))
	rebuild := b.begin(t)
	rebuild.exec(t, "UPDATE gates SET epoch = 2 WHERE tag = ?", c.Tag())
	begun := make(chan coupon.Change, 1)
	go func() {
		change, err := b.book.BeginChange(t.Context(), c.ID, func(cur coupon.Terms, _ int64) (coupon.Terms, error) {
			cur.Total = nil
			return cur, nil
		}, "more", "admin")
		if err != nil {
			t.Error(err)
		}
		begun <- change
	}()
	b.waitForLock(t, "gates")
	require.Empty(t, begun)
	rebuild.commit(t)
	require.EqualValues(t, 2, (<-begun).Epoch)
}

// What was wanted, by whom and why, stays: the database refuses to change it, whoever asks.
func historyStands(t *testing.T, b desk) {
	b = b.own(t)
	require.NoError(t, b.book.Migrate(t.Context()), "again: what is there stays")
	c := b.publish(t, total(10))
	change := b.change(t, c, setTotal(20))
	require.NoError(t, b.book.EndChange(t.Context(), change, "done"))
	require.NoError(t, b.book.EndChange(t.Context(), change, "refused"), "the first note stands")
	for _, rewrite := range []string{
		"UPDATE coupon_changes SET reason = 'another'", "UPDATE coupon_changes SET to_total = 5", "UPDATE coupon_changes SET from_total = 5",
		"DELETE FROM coupon_changes", "UPDATE coupon_change_ends SET outcome = 'refused'", "DELETE FROM coupon_change_ends",
	} {
		_, err := b.book.SQL().ExecContext(t.Context(), rewrite)
		require.ErrorContains(t, err, "append-only", rewrite)
	}
	require.EqualValues(t, 1, b.count(t, "SELECT COUNT(*) FROM coupon_changes WHERE reason = 'because of 이유' AND to_total = 20"))
	require.EqualValues(t, 1, b.count(t, "SELECT COUNT(*) FROM coupon_change_ends WHERE outcome = 'done'"))
}
