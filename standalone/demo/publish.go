package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

// publishers is how many admins publish at the same time; the api puts what comes together into shared calls.
const publishers = 128

// published are the ids that the api gave to the crowd's coupons, by their index.
type published []int64

// publish offers everything of the crowd over the admin endpoints.
func publish(ctx context.Context, c *client, token string, all crowd.Crowd, now time.Time) (published, error) {
	vendors, err := createAll(ctx, len(all.Vendors), func(ctx context.Context, i int) (int64, error) {
		return c.create(ctx, "/v1/admin/vendors", token, map[string]any{"name": all.Vendors[i]})
	})
	if err != nil {
		return nil, err
	}
	events, err := createAll(ctx, len(all.Events), func(ctx context.Context, i int) (int64, error) {
		return c.create(ctx, "/v1/admin/events", token, map[string]any{
			"name": all.Events[i], "starts_at": now.Add(-time.Hour), "ends_at": now.AddDate(0, 0, 14),
		})
	})
	if err != nil {
		return nil, err
	}
	ids, err := createAll(ctx, len(all.Coupons), func(ctx context.Context, i int) (int64, error) {
		id, errMade := c.create(ctx, "/v1/admin/coupons", token, couponBody(all.Coupons[i], vendors, events, now))
		if errors.Is(errMade, errNameTaken) {
			return 0, nil // published, and the answer with the id was a 503: looked up below
		}
		return id, errMade
	})
	if err != nil || !slices.Contains(ids, 0) {
		return ids, err
	}
	return lookUp(ctx, c, ids, all)
}

// lookUp finds the ids that are 0 in the list of coupons.
func lookUp(ctx context.Context, c *client, ids published, all crowd.Crowd) (published, error) {
	listed, err := c.couponIDs(ctx)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if id == 0 {
			ids[i] = listed[all.Coupons[i].Name]
		}
		if ids[i] == 0 {
			return nil, fmt.Errorf("publish: %q is taken and not listed", all.Coupons[i].Name)
		}
	}
	return ids, nil
}

func couponBody(of crowd.Coupon, vendors, events []int64, now time.Time) map[string]any {
	opens, closes := now.Add(-time.Hour), now.AddDate(0, 0, 7)
	switch of.Window {
	case crowd.Unopened:
		opens = now.AddDate(0, 0, 1)
	case crowd.Closed:
		opens, closes = now.AddDate(0, 0, -1), now.Add(-time.Hour)
	case crowd.Open:
	}
	body := map[string]any{
		"name": of.Name, "vendor_id": vendors[of.Vendor], "total_quantity": of.Total, "per_user_limit": of.PerUserLimit,
		"opens_at": opens, "closes_at": closes, "discount_type": of.DiscountType, "discount_value": of.DiscountValue,
		"min_order_amount": of.MinOrder, "stackable": of.Stackable, "valid_for_days": of.ValidForDays,
	}
	if of.Event >= 0 {
		body["event_id"] = events[of.Event]
	}
	return body
}

// createAll makes n things, many at the same time, and returns their ids in order.
func createAll(ctx context.Context, n int, create func(ctx context.Context, i int) (int64, error)) ([]int64, error) {
	ids := make([]int64, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(publishers)
	for i := range n {
		g.Go(func() (err error) {
			ids[i], err = create(ctx, i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return ids, nil
}
