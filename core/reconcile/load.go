package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// loadRows reads what the consumers have written, page by page, into the marks' private keys. It is read after the
// committed offsets, so that a record below them is a row here, or a failed event.
func (p *pass) loadRows(ctx context.Context) error {
	err := p.deps.Book.LoadTags(ctx, p.tags(), p.take, func(ref coupon.Ref, rows []coupon.Place) error {
		c := p.coupons[ref.CouponID]
		if c == nil {
			return fmt.Errorf("rows of coupon %d, which was not told before", ref.CouponID)
		}
		if p.live[ref.Tag] == nil {
			return nil // its tag has left the pass
		}
		return p.loadPage(ctx, c, ref, rows)
	})
	if err != nil {
		return err
	}
	for _, tag := range p.tags() {
		t := p.live[tag]
		if len(t.coupons) == 0 && !isEvent(tag) {
			p.leave(t, "load the rows", errors.New("the book has no coupon of this tag"))
		}
		t.complete()
	}
	return nil
}

// take notes coupons with their terms, as the snapshot has them.
func (p *pass) take(coupons []coupon.Coupon) error {
	for _, c := range coupons {
		t := p.live[c.Tag()]
		if t == nil {
			return fmt.Errorf("coupon %d of tag %s, which was not asked for", c.ID, c.Tag())
		}
		added := &couponPass{Coupon: c, tag: t}
		t.coupons = append(t.coupons, added)
		t.report.Coupons++
		p.coupons[c.ID] = added
	}
	return nil
}

// complete gives each coupon of a tag its reference, when all of them are known.
func (t *tagPass) complete() {
	siblings := make([]int64, len(t.coupons))
	for i, c := range t.coupons {
		siblings[i] = c.ID
	}
	slices.Sort(siblings)
	for _, c := range t.coupons {
		c.ref = c.Ref(siblings)
	}
}

func (p *pass) loadPage(ctx context.Context, c *couponPass, ref coupon.Ref, rows []coupon.Place) error {
	crashpoint.At("rebuild.rows-read")
	p.loads(c.tag)
	var err error
	for range tries { // to load the same rows twice is safe
		if err = p.deps.Gates.LoadRows(ctx, c.tag.mark, ref, rows); !isUnknown(err) {
			break
		}
		if pause(ctx, retryWait) != nil {
			break
		}
	}
	if err != nil {
		return p.lost(ctx, c.tag, "load the rows", err)
	}
	p.gateErrs = 0
	for _, row := range rows {
		c.lastSeq = max(c.lastSeq, row.Seq)
		if row.Revoked {
			c.returned++
		}
	}
	c.holders += int64(len(rows))
	c.tag.report.Rows += int64(len(rows))
	p.progress("rebuild: rows", "tag", c.tag.mark.Tag, "coupon_id", c.ID, "holders", c.holders)
	return nil
}
