package admission

import (
	"context"

	"github.com/firstcome/firstcome/core/coupon"
)

// Journal keeps what was accepted. Append returns nil only when every in-sync replica has the record (acks=all); any
// error is an unknown outcome.
type Journal interface {
	Append(ctx context.Context, p coupon.Place) error
}

// Sender takes a place for a journal without anybody waiting for it.
type Sender interface {
	// Send hands the place over and says true, or says false when that is not possible at once; the journal's Append waits and says why.
	// After true, done is called exactly once with what Append would have returned, by a goroutine of the journal's, which
	// it must not hold up. ctx is read for its values only.
	Send(ctx context.Context, p coupon.Place, done func(error)) bool
}
