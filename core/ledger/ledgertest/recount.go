package ledgertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

var recountTests = map[string]func(*testing.T, desk){
	"a wrong counter is set to the number of rows, while rows are written": func(t *testing.T, b desk) {
		c := b.publish(t)
		const batches, size = 20, 10
		var writing sync.WaitGroup
		errs := make([]error, 2)
		for n := range errs {
			writer, _ := b.writer(t)
			writing.Go(func() {
				for batch := range batches {
					var places []coupon.Place
					for i := range size {
						seq := int64((n*batches+batch)*size + i + 1)
						places = append(places, place(c, fmt.Sprintf("u%d", seq), seq))
					}
					if errs[n] = writer.Write(t.Context(), of(int32(n), records(int64(batch*size), places...))); errs[n] != nil {
						return
					}
				}
			})
		}
		for range batches {
			b.exec(t, "UPDATE coupons SET issued_count = issued_count + 7 WHERE id = ?", c.ID)
			_, _, err := b.book.Recount(t.Context(), c.ID)
			require.NoError(t, err)
		}
		writing.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		b.requireRows(t, c, 2*batches*size)
	},
	"more rows than the total are a person's decision": func(t *testing.T, b desk) {
		c := b.publish(t, total(3))
		writer, _ := b.writer(t)
		require.NoError(t, writer.Write(t.Context(), records(0, place(c, "ann", 1), place(c, "bob", 2))))
		b.exec(t, "UPDATE coupons SET issued_count = 1, total_quantity = 1 WHERE id = ?", c.ID)
		_, _, err := b.book.Recount(t.Context(), c.ID)
		require.ErrorIs(t, err, coupon.ErrBelowIssued)
		require.EqualValues(t, 1, b.count(t, "SELECT issued_count FROM coupons WHERE id = ?", c.ID))
	},
	"a coupon that is not there": func(t *testing.T, b desk) {
		_, _, err := b.book.Recount(t.Context(), newID())
		require.ErrorIs(t, err, coupon.ErrNotFound)
	},
}
