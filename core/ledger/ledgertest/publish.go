package ledgertest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

var publishTests = map[string]func(*testing.T, desk){
	"a name is taken once, by bytes":                 namesOnce,
	"an id is taken once":                            idsOnce,
	"a bad coupon does not hurt its neighbours":      badNeighbours,
	"every field of a coupon comes back":             couponRoundTrip,
	"coupons of one event see each other":            siblingsAtOnce,
	"an event's coupon takes the epoch of its gate":  joinsEpoch,
	"an event holds as many coupons as a gate walks": fullEvent,
	"many publish the same name, one has it":         nameRace,
}

func namesOnce(t *testing.T, b desk) {
	ctx, name := t.Context(), fmt.Sprintf("alice %d", newID())
	require.NoError(t, b.book.CreateVendor(ctx, newID(), name))
	require.ErrorIs(t, b.book.CreateVendor(ctx, newID(), name), coupon.ErrNameTaken)
	require.ErrorIs(t, b.book.CreateVendor(ctx, newID(), name+" "), coupon.ErrNameTaken, "blanks at the end do not count")
	require.NoError(t, b.book.CreateVendor(ctx, newID(), strings.ToUpper(name)))
	require.NoError(t, b.book.CreateVendor(ctx, newID(), "선착순 ☕ "+name))

	event := coupon.Event{ID: newID(), Name: name, StartsAt: dayOne, EndsAt: dayOne}
	require.NoError(t, b.book.CreateEvent(ctx, event))
	event.ID = newID()
	require.ErrorIs(t, b.book.CreateEvent(ctx, event), coupon.ErrNameTaken)
	event.Name = strings.ToUpper(name)
	require.NoError(t, b.book.CreateEvent(ctx, event))

	vendor := b.vendor(t)
	created := b.book.CreateCoupons(ctx, []coupon.Coupon{
		draft(vendor, named(name)), draft(vendor, named(name)), draft(vendor, named(name+"  ")), draft(vendor, named(strings.ToUpper(name))),
	})
	require.NoError(t, created[0].Err)
	require.ErrorIs(t, created[1].Err, coupon.ErrNameTaken, "within one call")
	require.ErrorIs(t, created[2].Err, coupon.ErrNameTaken, "within one call, blanks at the end")
	require.NoError(t, created[3].Err)
	require.ErrorIs(t, b.book.CreateCoupons(ctx, []coupon.Coupon{draft(vendor, named(name+" "))})[0].Err, coupon.ErrNameTaken)
}

func idsOnce(t *testing.T, b desk) {
	ctx, id := t.Context(), newID()
	require.NoError(t, b.book.CreateVendor(ctx, id, fmt.Sprint("first of ", id)))
	require.ErrorIs(t, b.book.CreateVendor(ctx, id, fmt.Sprint("second of ", id)), coupon.ErrIDTaken)

	event := coupon.Event{ID: id, Name: fmt.Sprint("first of ", id), StartsAt: dayOne, EndsAt: dayOne}
	require.NoError(t, b.book.CreateEvent(ctx, event))
	event.Name = fmt.Sprint("second of ", id)
	require.ErrorIs(t, b.book.CreateEvent(ctx, event), coupon.ErrIDTaken)

	created := b.book.CreateCoupons(ctx, []coupon.Coupon{draft(id, withID(id)), draft(id, withID(id), named(fmt.Sprint("other ", id)))})
	require.NoError(t, created[0].Err)
	require.ErrorIs(t, created[1].Err, coupon.ErrIDTaken, "within one call")
	again := b.book.CreateCoupons(ctx, []coupon.Coupon{draft(id, withID(id), named(fmt.Sprint("third ", id)))})
	require.ErrorIs(t, again[0].Err, coupon.ErrIDTaken)
}

func badNeighbours(t *testing.T, b desk) {
	vendor, event := b.vendor(t), b.event(t)
	good := []coupon.Coupon{draft(vendor), draft(vendor, ofEvent(event)), draft(vendor, total(5))}
	created := b.book.CreateCoupons(t.Context(), []coupon.Coupon{
		good[0], draft(newID()), good[1], draft(vendor, ofEvent(newID())), draft(vendor, named("")), draft(vendor, total(0)), good[2],
	})
	require.NoError(t, created[0].Err)
	require.ErrorIs(t, created[1].Err, coupon.ErrVendorNotFound)
	require.NoError(t, created[2].Err)
	require.ErrorIs(t, created[3].Err, coupon.ErrEventNotFound)
	var field *coupon.FieldError
	require.ErrorAs(t, created[4].Err, &field)
	require.ErrorAs(t, created[5].Err, &field)
	require.NoError(t, created[6].Err)
	require.Equal(t, []int64{good[1].ID}, created[2].Siblings)
	for i, c := range good {
		_, err := b.book.Coupon(t.Context(), c.ID)
		require.NoError(t, err, i)
	}
	epochs, err := b.book.Epochs(t.Context(), []string{good[0].Tag(), good[1].Tag(), good[2].Tag(), "c0"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{good[0].Tag(): 1, good[1].Tag(): 1, good[2].Tag(): 1}, epochs)
}

func couponRoundTrip(t *testing.T, b desk) {
	vendor, event := b.vendor(t), b.event(t)
	full := coupon.Coupon{
		ID: newID(), VendorID: vendor, EventID: event, Name: fmt.Sprintf("쿠폰 %d", newID()), Kind: coupon.FirstComeUse,
		Terms: coupon.Terms{
			Total: ptr(int64(coupon.MaxQuantity)), State: coupon.StatePaused, OpensAt: dayOne,
			ClosesAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		},
		PerUserLimit: coupon.MaxPerUserLimit, DiscountType: coupon.DiscountPercent, DiscountValue: 100, MinOrderAmount: 7,
		Stackable: true, ValidForDays: coupon.MaxValidForDays, MaxUses: ptr(int64(3)), Revision: 1,
	}
	bare := draft(vendor)
	b.create(t, full, bare)
	for _, want := range []coupon.Coupon{full, bare} {
		got, err := b.book.Coupon(t.Context(), want.ID)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), got.CreatedAt, time.Hour)
		got.CreatedAt, want.Applied = time.Time{}, want.Revision
		require.Equal(t, want, got)
	}
	_, err := b.book.Coupon(t.Context(), newID())
	require.ErrorIs(t, err, coupon.ErrNotFound)
}

func siblingsAtOnce(t *testing.T, b desk) {
	const makers = 6
	vendor, event := b.vendor(t), b.event(t)
	answers := make([]coupon.Created, makers)
	var all sync.WaitGroup
	for i := range makers {
		all.Go(func() {
			answers[i] = b.book.CreateCoupons(t.Context(), []coupon.Coupon{draft(vendor, ofEvent(event))})[0]
		})
	}
	all.Wait()
	seen := make(map[int]bool)
	for _, a := range answers {
		require.NoError(t, a.Err)
		require.IsIncreasing(t, append([]int64{0}, a.Siblings...))
		seen[len(a.Siblings)] = true
	}
	require.Len(t, seen, makers, "each sees those before it: 1, 2, 3 …")
}

func joinsEpoch(t *testing.T, b desk) {
	event := b.event(t)
	_, err := b.book.BumpEpochs(t.Context(), []string{coupon.EventTag(event)}, "rebuilder", time.Minute, false)
	require.NoError(t, err)
	created := b.create(t, draft(b.vendor(t), ofEvent(event)))
	require.EqualValues(t, 2, created[0].Epoch)
}

func fullEvent(t *testing.T, b desk) {
	vendor, event := b.vendor(t), b.event(t)
	many := make([]coupon.Coupon, coupon.MaxSiblings+1)
	for i := range many {
		many[i] = draft(vendor, ofEvent(event))
	}
	created := b.book.CreateCoupons(t.Context(), many)
	for _, c := range created[:coupon.MaxSiblings] {
		require.NoError(t, c.Err)
		require.Len(t, c.Siblings, coupon.MaxSiblings)
	}
	var field *coupon.FieldError
	require.ErrorAs(t, created[coupon.MaxSiblings].Err, &field)
	require.Equal(t, "event_id", field.Field)
}

func nameRace(t *testing.T, b desk) {
	const makers = 8
	vendor, name := b.vendor(t), fmt.Sprintf("wanted %d", newID())
	errs := make([]error, makers)
	var all sync.WaitGroup
	for i := range makers {
		all.Go(func() {
			neighbour := draft(vendor)
			created := b.book.CreateCoupons(t.Context(), []coupon.Coupon{neighbour, draft(vendor, named(name))})
			errs[i] = created[1].Err
			if created[0].Err != nil {
				errs[i] = created[0].Err
			}
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, coupon.ErrNameTaken)
		}
	}
	require.Equal(t, 1, won)
}
