package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/api/client"
)

func bearer(token string) client.RequestEditorFn {
	return func(_ context.Context, req *http.Request) error {
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

func TestTheGeneratedClientAndTheServerUnderstandEachOther(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	c, err := client.NewClientWithResponses(r.url, client.WithHTTPClient(r.client))
	require.NoError(t, err)
	ctx, boss, alice := t.Context(), bearer(token(t, "boss", "admin")), bearer(token(t, "alice"))

	vendor, err := c.CreateVendorWithResponse(ctx, client.VendorCreate{Name: "Kim"}, boss)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, vendor.StatusCode())
	places, percent, half := int64(1), "percent", int64(50)
	made, err := c.CreateCouponWithResponse(ctx, client.CouponCreate{
		Name: "coffee", VendorId: vendor.JSON201.Id, TotalQuantity: &places, DiscountType: &percent, DiscountValue: &half,
		OpensAt: time.Now().Add(-time.Hour), ClosesAt: time.Now().Add(time.Hour),
	}, boss)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), "%s", made.Body)
	id := made.JSON201.Id

	got, err := c.ClaimCouponWithResponse(ctx, id, nil, alice)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, got.StatusCode())
	assert.EqualValues(t, 1, got.JSON202.Seq)
	again, err := c.ClaimCouponWithResponse(ctx, id, nil, alice)
	require.NoError(t, err)
	assert.Equal(t, got.JSON202, again.JSON200)
	bob, err := c.ClaimCouponWithResponse(ctx, id, nil, bearer(token(t, "bob")))
	require.NoError(t, err)
	require.NotNil(t, bob.ApplicationproblemJSON409)
	assert.Equal(t, client.ProblemCodeSoldOut, bob.ApplicationproblemJSON409.Code)

	state := client.CouponSetStatePaused
	changed, err := c.ChangeCouponWithResponse(ctx, id, client.CouponChange{State: &state, Reason: "a test"}, boss)
	require.NoError(t, err)
	assert.Equal(t, client.CouponShownStatePaused, changed.JSON200.State)
	limit := 1
	page, err := c.ListCouponsWithResponse(ctx, &client.ListCouponsParams{Limit: &limit})
	require.NoError(t, err)
	assert.Equal(t, id, page.JSON200.Items[0].Id)
	assert.EqualValues(t, 0, *page.JSON200.Items[0].Remaining)
}
