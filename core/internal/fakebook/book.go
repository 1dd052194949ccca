package fakebook

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// Book is a ledger in memory. One mutex stands for its transactions; the lock of a gate's row is one of its own, so
// that a consumer's transaction can be held open (Begin) while others wait for it.
type Book struct {
	mu       sync.Mutex
	gates    map[string]*gateRow
	events   map[int64]coupon.Event
	coupons  map[int64]*coupon.Coupon
	barriers coupon.Barriers
	rows     map[rowKey]coupon.Place
	members  map[memberKey]int64
	changes  []*changeRow
	failed   []Failed

	// AfterPage, if set, is called between the pages of LoadTags, with no lock held.
	AfterPage func()
	PageRows  int // of LoadTags
}

type gateRow struct {
	lock  chan struct{} // the row's lock, holds one; a channel, so that a bubble of synctest sees who waits
	epoch int64
	owner string
	until time.Time
}

type rowKey struct {
	coupon int64
	user   string
	nth    int
}

type memberKey struct {
	event int64
	user  string
}

type changeRow struct {
	coupon.Change
	outcome string
}

// Failed is a record that did not become a row.
type Failed struct {
	Partition int32
	Offset    int64
	Place     coupon.Place
	Reason    coupon.FailReason
}

// NewBook makes an empty book.
func NewBook() *Book {
	return &Book{
		gates: map[string]*gateRow{}, events: map[int64]coupon.Event{}, coupons: map[int64]*coupon.Coupon{},
		barriers: coupon.Barriers{}, rows: map[rowKey]coupon.Place{}, members: map[memberKey]int64{}, PageRows: 2,
	}
}

// CreateEvent is rule 29 for an event.
func (b *Book) CreateEvent(_ context.Context, e coupon.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, other := range b.events {
		if other.Name == e.Name {
			return coupon.ErrNameTaken
		}
	}
	if b.gates[coupon.EventTag(e.ID)] != nil {
		return coupon.ErrIDTaken
	}
	b.events[e.ID] = e
	b.gates[coupon.EventTag(e.ID)] = newGate()
	return nil
}

// CreateCoupons is rule 29 for coupons.
func (b *Book) CreateCoupons(_ context.Context, coupons []coupon.Coupon) []coupon.Created {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]coupon.Created, len(coupons))
	for i, c := range coupons {
		out[i].Err = b.create(c)
	}
	for i, c := range coupons {
		if out[i].Err == nil {
			out[i].Epoch, out[i].Siblings = b.gates[c.Tag()].epoch, b.siblings(c.Tag())
		}
	}
	return out
}

func (b *Book) create(c coupon.Coupon) error {
	for _, other := range b.coupons {
		if other.Name == c.Name {
			return coupon.ErrNameTaken
		}
	}
	if b.coupons[c.ID] != nil {
		return coupon.ErrIDTaken
	}
	if c.EventID != 0 && b.gates[c.Tag()] == nil {
		return coupon.ErrEventNotFound
	}
	if c.EventID == 0 {
		b.gates[c.Tag()] = newGate()
	}
	b.coupons[c.ID] = &c
	return nil
}

func (b *Book) siblings(tag string) []int64 {
	var ids []int64
	for id, c := range b.coupons {
		if c.Tag() == tag {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Epochs are the epochs of gates.
func (b *Book) Epochs(_ context.Context, tags []string) (map[string]int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]int64{}
	for _, tag := range tags {
		if g := b.gates[tag]; g != nil {
			out[tag] = g.epoch
		}
	}
	return out, nil
}

// Coupon reads one coupon.
func (b *Book) Coupon(_ context.Context, id int64) (coupon.Coupon, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.coupons[id]; c != nil {
		return *c, nil
	}
	return coupon.Coupon{}, coupon.ErrNotFound
}

// Refresh reads a coupon's reference.
func (b *Book) Refresh(_ context.Context, id int64) (coupon.Ref, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.coupons[id]; c != nil {
		return c.Ref(b.siblings(c.Tag())), nil
	}
	return coupon.Ref{}, coupon.ErrNotFound
}

// Rows are the rows of a coupon by user and nth.
func (b *Book) Rows(id int64) []coupon.Place {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rowsOf(id)
}

func (b *Book) rowsOf(id int64) []coupon.Place {
	var out []coupon.Place
	for key, p := range b.rows {
		if key.coupon == id {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y coupon.Place) int { return cmp.Or(cmp.Compare(x.UserID, y.UserID), cmp.Compare(x.Nth, y.Nth)) })
	return out
}

// Failures are the failed events.
func (b *Book) Failures() []Failed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.failed)
}

// Revoke marks a row as given back.
func (b *Book) Revoke(id int64, user string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := rowKey{id, user, 1}
	p := b.rows[key]
	p.Revoked = true
	b.rows[key] = p
}

// lockGates locks gates' rows in tag order and returns what unlocks them.
func (b *Book) lockGates(tags []string) (unlock func()) {
	b.mu.Lock()
	rows := map[string]*gateRow{}
	for _, tag := range tags {
		if g := b.gates[tag]; g != nil {
			rows[tag] = g
		}
	}
	b.mu.Unlock()
	locked := slices.Sorted(maps.Keys(rows))
	for _, tag := range locked {
		rows[tag].lock <- struct{}{}
	}
	return func() {
		for _, tag := range locked {
			<-rows[tag].lock
		}
	}
}

func newGate() *gateRow { return &gateRow{epoch: 1, lock: make(chan struct{}, 1)} }

// BumpEpochs is rule 17.
func (b *Book) BumpEpochs(_ context.Context, tags []string, owner string, lease time.Duration, force bool) ([]coupon.Mark, error) {
	defer b.lockGates(tags)()
	b.mu.Lock()
	defer b.mu.Unlock()
	var marks []coupon.Mark
	for _, tag := range tags {
		g := b.gates[tag]
		if g == nil || !force && g.owner != owner && g.until.After(time.Now()) {
			continue
		}
		g.epoch++
		g.owner, g.until = owner, time.Now().Add(lease)
		marks = append(marks, coupon.Mark{Tag: tag, Epoch: g.epoch})
	}
	return marks, nil
}

// StoreBarriers is rule 20.
func (b *Book) StoreBarriers(_ context.Context, marks []coupon.Mark, ends map[int32]int64) ([]coupon.Mark, error) {
	var tags []string
	for _, m := range marks {
		tags = append(tags, m.Tag)
	}
	defer b.lockGates(tags)()
	b.mu.Lock()
	defer b.mu.Unlock()
	var kept []coupon.Mark
	for _, m := range marks {
		if b.gates[m.Tag].epoch == m.Epoch {
			b.barriers[m.Tag] = append(b.barriers[m.Tag], coupon.Barrier{Epoch: m.Epoch, Ends: maps.Clone(ends)})
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// Barriers are all of these tags.
func (b *Book) Barriers(_ context.Context, tags []string) (coupon.Barriers, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := coupon.Barriers{}
	for _, tag := range tags {
		out[tag] = slices.Clone(b.barriers[tag])
	}
	return out, nil
}

// ReleaseLeases ends leases.
func (b *Book) ReleaseLeases(_ context.Context, marks []coupon.Mark) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range marks {
		if g := b.gates[m.Tag]; g.epoch == m.Epoch {
			g.until = time.Time{}
		}
	}
	return nil
}

// LoadTags reads a snapshot: what is written while its pages are told is not in it.
func (b *Book) LoadTags(ctx context.Context, tags []string, coupons func([]coupon.Coupon) error,
	rows func(coupon.Ref, []coupon.Place) error,
) error {
	b.mu.Lock()
	var found []coupon.Coupon
	snapshot := map[int64][]coupon.Place{}
	for _, id := range slices.Sorted(maps.Keys(b.coupons)) {
		if c := b.coupons[id]; slices.Contains(tags, c.Tag()) {
			found = append(found, *c)
			snapshot[id] = b.rowsOf(id)
		}
	}
	siblings := map[string][]int64{}
	for _, c := range found {
		siblings[c.Tag()] = b.siblings(c.Tag())
	}
	b.mu.Unlock()
	if err := coupons(found); err != nil {
		return err
	}
	for _, c := range found {
		for page := range slices.Chunk(snapshot[c.ID], b.PageRows) {
			if err := rows(c.Ref(siblings[c.Tag()]), page); err != nil {
				return fmt.Errorf("rows: %w", err)
			}
			if b.AfterPage != nil {
				b.AfterPage()
			}
		}
	}
	return ctx.Err()
}

// IDs are the ids of all coupons, ascending.
func (b *Book) IDs() []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.coupons))
}
