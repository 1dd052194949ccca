package reconcile

import (
	"context"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// Gates closes, fills and opens gates (rules 18, 24, 25). All calls but Mark are safe to run twice; an error that is
// none of coupon's is an unknown outcome.
type Gates interface {
	Filling
	// Mark closes the gates that are absent or of a smaller epoch and returns the token of each mark.
	// coupon.ErrOvertaken: the gate is of this epoch or newer. Never repeated: a second mark would be another one.
	Mark(ctx context.Context, marks []coupon.Mark) []coupon.MarkAnswer
	// Open puts what was loaded into place if the gate still carries the mark on the same server and the private keys
	// hold what the opening says. Open under the same mark already: nil. coupon.ErrTooEarly: the mark is younger than
	// Wait. coupon.ErrOvertaken: anything else.
	Open(ctx context.Context, openings []coupon.Opening) []error
}

// Filling is what a marked gate is loaded by.
type Filling interface {
	// LoadRows puts the places of rows of one coupon under the mark's private keys: at most PageRows a call.
	LoadRows(ctx context.Context, m coupon.Mark, ref coupon.Ref, rows []coupon.Place) error
	// LoadTail adds places of the journal of one coupon: at most PageRows a call, in their order. What the user has
	// from a row or an earlier record stays; for a member, in whichever coupon of the event. added counts the new ones.
	LoadTail(ctx context.Context, m coupon.Mark, ref coupon.Ref, places []coupon.Place) (added int64, err error)
	// Drop removes what was loaded for these coupons under a mark that will not be opened.
	Drop(ctx context.Context, m coupon.Mark, coupons []int64) error
}

// Viewer tells what each coupon's gate says: its view, a coupon.UnsoundError (rule 2), or an unknown outcome.
type Viewer interface {
	Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer
}

// Log is the journal as a rebuild reads it.
type Log interface {
	// Ends are the end offsets of all partitions at this moment.
	Ends(ctx context.Context) (map[int32]int64, error)
	// Committed are the offsets that the consumers' group has committed: of the records below each the rows or failed
	// events are in the book. Where none is committed, the start of the log if that is 0. coupon.ErrLogCut: records
	// that nobody has written yet are gone.
	Committed(ctx context.Context) (map[int32]int64, error)
	// Read calls each for every record from (included) to (excluded) that can be decoded, one at a time, in the order
	// of offsets within a partition. An error of each ends it and is returned.
	Read(ctx context.Context, from, to map[int32]int64,
		each func(partition int32, offset int64, p coupon.Place) error) error
}

// Fences is the book's side of the steps that keep rebuilds apart.
type Fences interface {
	// BumpEpochs takes the next epoch of each tag (rule 17) and leases it to owner. A tag that another owner's lease
	// covers is left out, unless forced. Tags that do not exist are left out too.
	BumpEpochs(ctx context.Context, tags []string, owner string, lease time.Duration, force bool) ([]coupon.Mark, error)
	// StoreBarriers stores the noted ends of each mark whose epoch is still the database's, read FOR UPDATE
	// (rule 20), and returns those marks.
	StoreBarriers(ctx context.Context, marks []coupon.Mark, ends map[int32]int64) (kept []coupon.Mark, err error)
	// Epochs are those that the database says at this moment, never a replica's or a snapshot's.
	Epochs(ctx context.Context, tags []string) (map[string]int64, error)
	// ReleaseLeases ends the leases of these epochs; a lease that went on to another epoch stays.
	ReleaseLeases(ctx context.Context, marks []coupon.Mark) error
}

// Rows reads what a gate is filled from.
type Rows interface {
	// Barriers are all stored barriers of these tags.
	Barriers(ctx context.Context, tags []string) (coupon.Barriers, error)
	// LoadTags reads the coupons of these tags with their terms and Applied, and their rows in pages of at most PageRows
	// by key, all statuses (Revoked set for revoked ones), from one consistent snapshot taken after the call began
	// (rule 22). All coupons of a tag are told before the first row of one of them. An error of either function ends
	// it and is returned (errors.Is), also to end it early. The functions call nothing of the book: on a database with
	// one connection that would wait for itself.
	LoadTags(ctx context.Context, tags []string, coupons func([]coupon.Coupon) error,
		rows func(ref coupon.Ref, rows []coupon.Place) error) error
}

// Book is the ledger as a rebuild needs it.
type Book interface {
	Fences
	Rows
}

// PageRows bounds a page of rows and a load call: 1000 holders are about 100 KB on the wire and 1 ms of Redis' one
// thread, so that other gates' claims do not wait noticeably.
const PageRows = 1000
