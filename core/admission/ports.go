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
