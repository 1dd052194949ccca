package admission

import (
	"time"

	"github.com/firstcome/firstcome/core/support/batching"
)

// maxLanes bounds the lanes; servers beyond it share one. A lane costs a goroutine, which sleeps while nothing comes, and
// 8 bytes for each question that may wait.
const maxLanes = 16

// lanes are batchers side by side, one for each server that gates live on: a server that does not answer holds up its
// own questions only.
type lanes[Q, A any] []*batching.Batcher[Q, A]

func newLanes[Q, A any](n int, one func() *batching.Batcher[Q, A]) lanes[Q, A] {
	all := lanes[Q, A]{}
	for range n {
		all = append(all, one())
	}
	return all
}

func (l lanes[Q, A]) close() {
	for _, b := range l {
		b.Close()
	}
}

// lanesOf is how many lanes there are: one where all gates live on one server.
func (d DeskDeps) lanesOf() int {
	if d.Lane == nil {
		return 1
	}
	return maxLanes
}

// lane is the one for a tag.
func (d *Desk) lane(tag string) int {
	if d.deps.Lane == nil {
		return 0
	}
	return d.deps.Lane(tag) % maxLanes
}

func (d *Desk) openLanes(timeout time.Duration) {
	n := d.deps.lanesOf()
	d.asks = newLanes(n, func() *batching.Batcher[question, word] {
		return batching.New(d.admit, batching.Options{Max: groupMax, Queue: d.deps.Queue, Timeout: timeout})
	})
	d.confirms = newLanes(n, func() *batching.Batcher[confirmation, bool] {
		return batching.New(d.confirmAll, batching.Options{Max: groupMax, Queue: journeysMax, Timeout: timeout})
	})
}
