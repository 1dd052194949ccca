package reconcile

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// looksTogether bounds the coupons of one look at the gates: those of a full event bring a thousand keys each.
	looksTogether = 100
	// looksAtOnce bounds the looks under way: where one server of a cluster does not answer, the others need not wait.
	looksAtOnce = 8
)

// look forgets the tags whose gates are as they must be by now, puts off those that do not answer, and returns the rest.
func (q *Queue) look(ctx context.Context, tags []string) (unsound []string, err error) {
	refs, err := q.refs(ctx, tags)
	if err != nil {
		return nil, err
	}
	epochs, err := q.deps.Rebuilder.deps.Book.Epochs(ctx, tags)
	if err != nil {
		return nil, err
	}
	states := q.states(ctx, tags, refs, epochs)
	silent, lastErr := 0, error(nil)
	for _, tag := range tags {
		state := states[tag]
		switch {
		case len(refs[tag]) == 0 && !isEvent(tag):
			q.deps.Log.Warn("a rebuild was asked for a tag that has no coupon", "tag", tag)
			q.drop(tag)
		case len(refs[tag]) == 0 || state.is == gateUnsound: // an event without coupons has nothing to look at
			unsound = append(unsound, tag)
		case state.is == gateSound:
			q.drop(tag)
		default:
			silent, lastErr = silent+1, state.err
			q.silent(tag)
		}
	}
	if silent > 0 && ctx.Err() == nil {
		q.deps.Log.Warn("gates do not answer", "tags", silent, "last_error", lastErr)
	}
	return unsound, nil
}

// gateState is what looks at the gates of a tag's coupons came to, the worst of them.
type gateState struct {
	is  int
	err error // why it is not known
}

const (
	gateUnasked = iota // so the zero value is no "sound"
	gateSound
	gateUnknown
	gateUnsound // one of them is enough, whatever became of the others
)

// states looks at the gates of many tags: many in one call, and some calls at the same time.
func (q *Queue) states(ctx context.Context, tags []string, refs map[string][]coupon.Ref, epochs map[string]int64) map[string]gateState {
	var all []coupon.Ref
	for _, tag := range tags {
		all = append(all, refs[tag]...)
	}
	states := make(map[string]gateState, len(tags))
	var one sync.Mutex
	var group errgroup.Group
	group.SetLimit(looksAtOnce)
	for some := range slices.Chunk(all, looksTogether) {
		group.Go(func() error {
			answers := q.deps.Gates.Views(ctx, some)
			one.Lock()
			defer one.Unlock()
			for i, answer := range answers {
				found := gateState{is: gateSound}
				switch tag := some[i].Tag; {
				case errors.Is(answer.Err, coupon.ErrUnsound):
					found.is = gateUnsound
				case answer.Err != nil:
					found = gateState{is: gateUnknown, err: answer.Err}
				case answer.View.Epoch < epochs[tag]: // a rebuild took the epoch and never marked the gate
					found.is = gateUnsound
				}
				if found.is > states[some[i].Tag].is {
					states[some[i].Tag] = found
				}
			}
			return nil
		})
	}
	_ = group.Wait() // what a look found is in the states, errors too
	return states
}

// errEnough ends a reading of tags before their rows.
var errEnough = errors.New("enough")

// refs are the references of all coupons of these tags, as the book has them now.
func (q *Queue) refs(ctx context.Context, tags []string) (map[string][]coupon.Ref, error) {
	refs := make(map[string][]coupon.Ref, len(tags))
	for {
		coupons := map[string][]coupon.Coupon{}
		err := q.deps.Rebuilder.deps.Book.LoadTags(ctx, tags, func(told []coupon.Coupon) error {
			for _, c := range told {
				coupons[c.Tag()] = append(coupons[c.Tag()], c)
			}
			return nil
		}, func(coupon.Ref, []coupon.Place) error { return errEnough })
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
		for tag, list := range coupons {
			refs[tag] = refsOf(list)
		}
		// Rows may come before the coupons of another tag; those are asked for again.
		tags = slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return refs[tag] != nil })
		if err == nil || len(tags) == 0 || len(coupons) == 0 {
			return refs, nil
		}
	}
}

func refsOf(coupons []coupon.Coupon) []coupon.Ref {
	siblings := make([]int64, len(coupons))
	for i, c := range coupons {
		siblings[i] = c.ID
	}
	slices.Sort(siblings)
	refs := make([]coupon.Ref, len(coupons))
	for i, c := range coupons {
		refs[i] = c.Ref(siblings)
	}
	return refs
}
