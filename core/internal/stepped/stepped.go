// Package stepped puts a step function in front of every call to book, gates and journal, so that a test can stop,
// break and reorder them: run something in between, wait until another one has done its step, lose an answer, crash.
package stepped

import (
	"context"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/reconcile"
)

// Step runs one call named op. An error without having called do is a call that never arrived; after it, an answer
// that was lost.
type Step func(op string, do func() error) error

// Book is a ledger behind steps.
type Book struct {
	publish.Shelf
	publish.Changes
	publish.Reader
	publish.Refs
	fences
	reconcile.Rows
	Step Step
}

// fences are those of reconcile.Fences that publish.Shelf does not have.
type fences interface {
	BumpEpochs(ctx context.Context, tags []string, owner string, lease time.Duration, force bool) ([]coupon.Mark, error)
	StoreBarriers(ctx context.Context, marks []coupon.Mark, ends map[int32]int64) (kept []coupon.Mark, err error)
	ReleaseLeases(ctx context.Context, marks []coupon.Mark) error
}

// AnyBook is all that is asked of a ledger here.
type AnyBook interface {
	publish.Book
	publish.Refs
	reconcile.Book
}

// NewBook puts steps in front of a ledger.
func NewBook(b AnyBook, s Step) *Book {
	return &Book{Shelf: b, Changes: b, Reader: b, Refs: b, fences: b, Rows: b, Step: s}
}

// CreateEvent is a step.
func (b *Book) CreateEvent(ctx context.Context, e coupon.Event) error {
	return b.Step("CreateEvent", func() error { return b.Shelf.CreateEvent(ctx, e) })
}

// CreateCoupons is a step.
func (b *Book) CreateCoupons(ctx context.Context, coupons []coupon.Coupon) (out []coupon.Created) {
	err := b.Step("CreateCoupons", func() error { out = b.Shelf.CreateCoupons(ctx, coupons); return nil })
	if err != nil {
		out = make([]coupon.Created, len(coupons))
		for i := range out {
			out[i].Err = err
		}
	}
	return out
}

// Epochs is a step.
func (b *Book) Epochs(ctx context.Context, tags []string) (out map[string]int64, err error) {
	err = b.Step("Epochs", func() error { out, err = b.Shelf.Epochs(ctx, tags); return err })
	return out, err
}

// BeginChange is a step.
func (b *Book) BeginChange(ctx context.Context, id int64, decide func(coupon.Terms, int64) (coupon.Terms, error),
	reason, by string,
) (out coupon.Change, err error) {
	err = b.Step("BeginChange", func() error { out, err = b.Changes.BeginChange(ctx, id, decide, reason, by); return err })
	return out, err
}

// ApplyChange is a step.
func (b *Book) ApplyChange(ctx context.Context, c coupon.Change, epoch int64) error {
	return b.Step("ApplyChange", func() error { return b.Changes.ApplyChange(ctx, c, epoch) })
}

// EndChange is a step.
func (b *Book) EndChange(ctx context.Context, c coupon.Change, outcome string) error {
	return b.Step("EndChange", func() error { return b.Changes.EndChange(ctx, c, outcome) })
}

// OpenChanges is a step; however young the changes are.
func (b *Book) OpenChanges(ctx context.Context, _ time.Duration, limit int) (out []coupon.Change, err error) {
	err = b.Step("OpenChanges", func() error { out, err = b.Changes.OpenChanges(ctx, 0, limit); return err })
	return out, err
}

// BumpEpochs is a step.
func (b *Book) BumpEpochs(ctx context.Context, tags []string, owner string, lease time.Duration, force bool) (out []coupon.Mark, err error) {
	err = b.Step("BumpEpochs", func() error { out, err = b.fences.BumpEpochs(ctx, tags, owner, lease, force); return err })
	return out, err
}

// StoreBarriers is a step.
func (b *Book) StoreBarriers(ctx context.Context, marks []coupon.Mark, ends map[int32]int64) (out []coupon.Mark, err error) {
	err = b.Step("StoreBarriers", func() error { out, err = b.fences.StoreBarriers(ctx, marks, ends); return err })
	return out, err
}

// ReleaseLeases is a step.
func (b *Book) ReleaseLeases(ctx context.Context, marks []coupon.Mark) error {
	return b.Step("ReleaseLeases", func() error { return b.fences.ReleaseLeases(ctx, marks) })
}

// Barriers is a step.
func (b *Book) Barriers(ctx context.Context, tags []string) (out coupon.Barriers, err error) {
	err = b.Step("Barriers", func() error { out, err = b.Rows.Barriers(ctx, tags); return err })
	return out, err
}

// LoadTags is a step.
func (b *Book) LoadTags(ctx context.Context, tags []string, coupons func([]coupon.Coupon) error,
	rows func(coupon.Ref, []coupon.Place) error,
) error {
	return b.Step("LoadTags", func() error { return b.Rows.LoadTags(ctx, tags, coupons, rows) })
}

// Gate is a gate behind steps, without its hot path.
type Gate struct {
	reconcile.Gates
	Changing publish.Gate
	Step     Step
}

// AnyGate is all that is asked of a gate here.
type AnyGate interface {
	reconcile.Gates
	Join(ctx context.Context, c coupon.OpeningCoupon, epoch int64) error
	Change(ctx context.Context, change coupon.TermsChange) (epoch int64, err error)
}

// NewGate puts steps in front of a gate.
func NewGate(g AnyGate, s Step) *Gate { return &Gate{Gates: g, Changing: g, Step: s} }

// Mark is a step.
func (g *Gate) Mark(ctx context.Context, marks []coupon.Mark) (out []coupon.MarkAnswer) {
	err := g.Step("Mark", func() error { out = g.Gates.Mark(ctx, marks); return nil })
	if err != nil {
		out = make([]coupon.MarkAnswer, len(marks))
		for i, m := range marks {
			out[i] = coupon.MarkAnswer{Mark: m, Err: err}
		}
	}
	return out
}

// LoadRows is a step.
func (g *Gate) LoadRows(ctx context.Context, m coupon.Mark, ref coupon.Ref, rows []coupon.Place) error {
	return g.Step("LoadRows", func() error { return g.Gates.LoadRows(ctx, m, ref, rows) })
}

// LoadTail is a step.
func (g *Gate) LoadTail(ctx context.Context, m coupon.Mark, ref coupon.Ref, places []coupon.Place) (added int64, err error) {
	err = g.Step("LoadTail", func() error { added, err = g.Gates.LoadTail(ctx, m, ref, places); return err })
	return added, err
}

// Drop is a step.
func (g *Gate) Drop(ctx context.Context, m coupon.Mark, coupons []int64) error {
	return g.Step("Drop", func() error { return g.Gates.Drop(ctx, m, coupons) })
}

// Open is a step.
func (g *Gate) Open(ctx context.Context, openings []coupon.Opening) (out []error) {
	err := g.Step("Open", func() error { out = g.Gates.Open(ctx, openings); return nil })
	if err != nil {
		out = make([]error, len(openings))
		for i := range out {
			out[i] = err
		}
	}
	return out
}

// Join is a step.
func (g *Gate) Join(ctx context.Context, c coupon.OpeningCoupon, epoch int64) error {
	return g.Step("Join", func() error { return g.Changing.Join(ctx, c, epoch) })
}

// Change is a step.
func (g *Gate) Change(ctx context.Context, change coupon.TermsChange) (epoch int64, err error) {
	err = g.Step("Change", func() error { epoch, err = g.Changing.Change(ctx, change); return err })
	return epoch, err
}

// Log is a journal behind steps.
type Log struct {
	reconcile.Log
	Step Step
}

// Ends is a step.
func (l *Log) Ends(ctx context.Context) (out map[int32]int64, err error) {
	err = l.Step("Ends", func() error { out, err = l.Log.Ends(ctx); return err })
	return out, err
}

// Committed is a step.
func (l *Log) Committed(ctx context.Context) (out map[int32]int64, err error) {
	err = l.Step("Committed", func() error { out, err = l.Log.Committed(ctx); return err })
	return out, err
}

// Read is a step.
func (l *Log) Read(ctx context.Context, from, to map[int32]int64, each func(int32, int64, coupon.Place) error) error {
	return l.Step("Read", func() error { return l.Log.Read(ctx, from, to, each) })
}
