package redisgate

import (
	"context"
	"errors"
	"strings"

	"github.com/firstcome/firstcome/core/coupon"
)

// namesPage is how many names a page has, about: 0.3 ms of Redis' one thread, which claims wait for at most.
const namesPage = 512

// errMoved: the gate is another one than at the first page, so that the names are of no use.
var errMoved = errors.New("the gate changed while its holders were read")

// EachName calls each for every user who has a place at the coupon; where taking it uses up the user's place in the event,
// for every member of the event. A user may come more than once. It reads in pages and holds one of them; at the end
// everybody was named who was there all the time.
//
// Cost: 0.6 us of Redis a name, and 17 bytes on the wire for a user id of 16.
func (g *Gate) EachName(ctx context.Context, ref coupon.Ref, each func(userID string)) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	var epoch, generation int64
	for cursor, first := "0", true; first || cursor != "0"; first = false {
		c := &call{
			script: g.scripts.names, tag: ref.Tag, keys: couponKeys(ref, 0), args: []any{cursor, namesPage, flag(ref.Member)},
		}
		g.run(ctx, []*call{c})
		if c.err != nil {
			return c.err
		}
		head, ok := c.ints(2)
		next, isText := c.text(2)
		fields, areText := c.text(3)
		if !ok || !isText || !areText || len(c.reply) != 4 {
			c.fail(errGarbled)
			return c.err
		}
		if first {
			epoch, generation = head[0], head[1]
		} else if epoch != head[0] || generation != head[1] {
			c.fail(errMoved)
			return c.err
		}
		for field := range strings.FieldsSeq(fields) {
			user, _, _ := strings.Cut(field, nthSeparator)
			each(user)
		}
		cursor = next
	}
	return nil
}
