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
	refs   []coupon.Ref
	gates  map[int64][]error // in the order of asking; the last stays
	at     map[int64]int64   // coupon → epoch of its gate; 1 if it is not there
	epochs map[string]int64  // tag → epoch of the database; 1 if it is not there
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

func (s *sale) Views(_ context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	answers := make([]coupon.ViewAnswer, len(refs))
	for i, ref := range refs {
		answers[i].View.Epoch = max(s.at[ref.CouponID], 1)
		if said := s.gates[ref.CouponID]; len(said) > 0 {
			answers[i].Err = said[0]
			s.gates[ref.CouponID] = said[min(1, len(said)-1):]
		}
	}
	return answers
}

func (s *sale) Epochs(_ context.Context, tags []string) (map[string]int64, error) {
	epochs := map[string]int64{}
	for _, tag := range tags {
		epochs[tag] = max(s.epochs[tag], 1)
	}
	return epochs, nil
}

func (s *sale) look(t *testing.T, wanted map[string]bool, alsoSound bool) found {
	t.Helper()
	f, err := looker{live: s, gates: s, fences: s}.look(t.Context(), wanted, alsoSound)
	require.NoError(t, err)
	return f
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

	f := s.look(t, nil, false)
	assert.Equal(t, []string{"c3", "e5"}, f.tags)
	assert.Equal(t, 2*lookPage+10, f.asked)
	assert.Equal(t, 1, f.unknown)

	f = s.look(t, map[string]bool{"c4": true, "e5": true}, false)
	assert.Equal(t, []string{"e5"}, f.tags)
	assert.Equal(t, 11, f.asked)

	f = s.look(t, map[string]bool{"c4": true}, true)
	assert.Equal(t, []string{"c4"}, f.tags, "forced although it is sound")
}

func TestACouponThatJoinedMeanwhileIsNoReasonForARebuild(t *testing.T) {
	t.Parallel()
	old := &coupon.UnsoundError{Tag: "e5", Why: coupon.WhyCoupons}
	s := &sale{refs: []coupon.Ref{{Tag: "e5", CouponID: 1}, {Tag: "e6", CouponID: 2}}, gates: map[int64][]error{
		1: {old, nil},                                                // sound, asked with the fresh list
		2: {&coupon.UnsoundError{Tag: "e6", Why: coupon.WhyCoupons}}, // and this one is not
	}}
	f := s.look(t, nil, false)
	assert.Equal(t, []string{"e6"}, f.tags)
}

// A rebuild that took its epoch and stopped before its mark leaves a gate that decides, and that no change can follow.
func TestASoundGateBehindTheDatabasesEpochIsRebuilt(t *testing.T) {
	t.Parallel()
	s := &sale{
		refs: []coupon.Ref{{Tag: "c1", CouponID: 1}, {Tag: "c2", CouponID: 2}, {Tag: "c3", CouponID: 3}},
		at:   map[int64]int64{1: 4, 2: 4, 3: 5}, epochs: map[string]int64{"c1": 4, "c2": 5, "c3": 4},
	}
	f := s.look(t, nil, false)
	assert.Equal(t, []string{"c2"}, f.tags, "neither the one in step nor the one that was rebuilt since")
	assert.Zero(t, f.unknown)
}

func TestACouponThatLeftTheSaleMeanwhileIsNoReasonForARebuild(t *testing.T) {
	t.Parallel()
	s := &sale{
		refs:   []coupon.Ref{{Tag: "e5", CouponID: 1}},
		gates:  map[int64][]error{1: {&coupon.UnsoundError{Tag: "e5", Why: coupon.WhyCoupons}}},
		epochs: map[string]int64{"e5": 7},
	}
	f, err := looker{live: &leaving{sale: s}, gates: s, fences: s}.look(t.Context(), nil, false)
	require.NoError(t, err)
	assert.Empty(t, f.tags)
	assert.Zero(t, f.unknown)
}

// leaving lists its coupons once.
type leaving struct {
	*sale
	listed bool
}

func (l *leaving) LiveRefs(ctx context.Context, afterID int64, limit int) ([]coupon.Ref, error) {
	if l.listed {
		return nil, nil
	}
	l.listed = true
	return l.sale.LiveRefs(ctx, afterID, limit)
}
