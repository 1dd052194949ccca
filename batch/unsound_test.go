package batch

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// sale is a list of coupons and what their gates say.
type sale struct {
	refs  []coupon.Ref
	gates map[int64][]error // in the order of asking; the last stays
}

func (s *sale) LiveRefs(_ context.Context, afterID int64, limit int) ([]coupon.Ref, error) {
	var page []coupon.Ref
	for _, ref := range s.refs {
		if ref.CouponID > afterID && len(page) < limit {
			page = append(page, ref)
		}
	}
	return page, nil
}

func (s *sale) Sound(_ context.Context, refs []coupon.Ref) []error {
	answers := make([]error, len(refs))
	for i, ref := range refs {
		if said := s.gates[ref.CouponID]; len(said) > 0 {
			answers[i] = said[0]
			s.gates[ref.CouponID] = said[min(1, len(said)-1):]
		}
	}
	return answers
}

func lost(tag string) error { return &coupon.UnsoundError{Tag: tag, Why: coupon.WhyNoGate} }

func TestTheWalkFindsEveryUnsoundTagOnceOverAllPages(t *testing.T) {
	t.Parallel()
	s := &sale{gates: map[int64][]error{}}
	for id := int64(1); id <= 2*lookPage+10; id++ {
		tag := coupon.TagOf(id, 0)
		if id > 2*lookPage {
			tag = "e5" // the last ten are of one event
			s.gates[id] = []error{lost(tag)}
		}
		s.refs = append(s.refs, coupon.Ref{Tag: tag, CouponID: id})
	}
	s.gates[3] = []error{lost("c3")}
	s.gates[lookPage+1] = []error{errors.New("no answer")}

	f, err := look(t.Context(), s, s, nil, false)
	require.NoError(t, err)
	assert.Equal(t, []string{"c3", "e5"}, f.tags)
	assert.Equal(t, 2*lookPage+10, f.asked)
	assert.Equal(t, 1, f.unknown)

	f, err = look(t.Context(), s, s, map[string]bool{"c4": true, "e5": true}, false)
	require.NoError(t, err)
	assert.Equal(t, []string{"e5"}, f.tags)
	assert.Equal(t, 11, f.asked)

	f, err = look(t.Context(), s, s, map[string]bool{"c4": true}, true)
	require.NoError(t, err)
	assert.Equal(t, []string{"c4"}, f.tags, "forced although it is sound")
}

func TestACouponThatJoinedMeanwhileIsNoReasonForARebuild(t *testing.T) {
	t.Parallel()
	old := &coupon.UnsoundError{Tag: "e5", Why: coupon.WhyCoupons}
	s := &sale{refs: []coupon.Ref{{Tag: "e5", CouponID: 1}, {Tag: "e6", CouponID: 2}}, gates: map[int64][]error{
		1: {old, nil},                                                // sound, asked with the fresh list
		2: {&coupon.UnsoundError{Tag: "e6", Why: coupon.WhyCoupons}}, // and this one is not
	}}
	f, err := look(t.Context(), s, s, nil, false)
	require.NoError(t, err)
	assert.Equal(t, []string{"e6"}, f.tags)
}
