package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// DefaultRefs is how many coupons Refs remembers: about 200 bytes each, and 8 KB more for each event.
	DefaultRefs = 65_536
	// unknownFor is how long Refs remembers that a coupon does not exist: a crowd at a wrong number costs one look a
	// second, and a coupon is known a second after its publication at the latest.
	unknownFor = time.Second
	// unknownMax bounds the memory of wrong numbers, 16 bytes each, which anybody can make up.
	unknownMax = 10_000
	// lookTimeout bounds a look at the database, which others may be waiting for when the first one has left.
	lookTimeout = 5 * time.Second
)

// Refs remembers what gates and writers have to know of coupons beforehand, which never changes, except that the
// siblings of an event's coupon grow (Refresh).
type Refs struct {
	book    *Book
	known   *lru.Cache[int64, coupon.Ref]
	unknown *lru.Cache[int64, time.Time] // until when
	looks   singleflight.Group
}

// NewRefs makes a memory of at most size coupons; 0: DefaultRefs.
func NewRefs(book *Book, size int) *Refs {
	if size <= 0 {
		size = DefaultRefs
	}
	return &Refs{book: book, known: mustLRU[int64, coupon.Ref](size), unknown: mustLRU[int64, time.Time](unknownMax)}
}

// mustLRU makes a cache; lru.New fails for sizes below 1 only.
func mustLRU[K comparable, V any](size int) *lru.Cache[K, V] {
	cache, err := lru.New[K, V](max(size, 1))
	if err != nil {
		panic(err)
	}
	return cache
}

// Ref answers from memory, else from the database. coupon.ErrNotFound.
func (r *Refs) Ref(ctx context.Context, couponID int64) (coupon.Ref, error) {
	if ref, ok := r.known.Get(couponID); ok {
		return ref, nil
	}
	if until, ok := r.unknown.Get(couponID); ok && time.Now().Before(until) {
		return coupon.Ref{}, fmt.Errorf("coupon %d: %w", couponID, coupon.ErrNotFound)
	}
	seen, err := r.look(ctx, couponID)
	return seen.ref, err
}

// Refresh answers from the database, by a look that began after the call. coupon.ErrNotFound.
func (r *Refs) Refresh(ctx context.Context, couponID int64) (coupon.Ref, error) {
	called := time.Now()
	seen, err := r.look(ctx, couponID)
	if seen.began.Before(called) {
		// It was another's look, under way already. The next one, ours or another's, begins after that one's end.
		seen, err = r.look(ctx, couponID)
	}
	return seen.ref, err
}

// sight is what one look at the database saw.
type sight struct {
	ref   coupon.Ref
	began time.Time
}

// look reads a coupon with its siblings, once for all who ask at the same time. It goes on when the first of them leaves.
func (r *Refs) look(ctx context.Context, couponID int64) (sight, error) {
	done := r.looks.DoChan(strconv.FormatInt(couponID, 10), func() (any, error) {
		seen := sight{began: time.Now()}
		lookCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
		defer cancel()
		rows, err := r.book.family(lookCtx, couponID)
		if err != nil {
			return seen, err
		}
		seen.ref, err = r.learn(couponID, rows)
		return seen, err
	})
	select {
	case res := <-done:
		seen, ok := res.Val.(sight)
		if !ok {
			return sight{began: time.Now()}, res.Err
		}
		return seen, res.Err
	case <-ctx.Done():
		return sight{began: time.Now()}, fmt.Errorf("look up coupon %d: %w", couponID, ctx.Err())
	}
}

// learn remembers a coupon, and its siblings' new siblings where they are remembered.
func (r *Refs) learn(couponID int64, family []couponRow) (coupon.Ref, error) {
	siblings := idsOf(family)
	var found coupon.Ref
	for _, row := range family {
		ref := row.coupon().Ref(siblings)
		if row.ID == couponID {
			found = ref
			r.known.Add(couponID, ref)
		} else if r.known.Contains(row.ID) {
			r.known.Add(row.ID, ref)
		}
	}
	if found.CouponID == 0 {
		r.unknown.Add(couponID, time.Now().Add(unknownFor))
		return found, fmt.Errorf("coupon %d: %w", couponID, coupon.ErrNotFound)
	}
	r.unknown.Remove(couponID)
	return found, nil
}

// LiveRefs lists up to limit coupons on sale with ids above afterID, ascending, from the database.
func (r *Refs) LiveRefs(ctx context.Context, afterID int64, limit int) ([]coupon.Ref, error) {
	page, family, err := r.book.live(ctx, afterID, limit)
	if err != nil {
		return nil, err
	}
	siblings := make(map[string][]int64)
	for _, row := range family {
		siblings[row.Tag] = append(siblings[row.Tag], row.ID)
	}
	refs := make([]coupon.Ref, len(page))
	for i, row := range page {
		ids := siblings[row.Tag]
		if len(ids) == 0 {
			ids = []int64{row.ID}
		}
		refs[i] = row.coupon().Ref(ids)
	}
	return refs, nil
}

func idsOf(rows []couponRow) []int64 {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}
