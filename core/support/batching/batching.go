// Package batching turns many concurrent questions into few calls, without making anybody wait for company.
//
// A worker takes whatever has come in while its last call was in flight, up to a bound, and asks it in one call; when
// nothing is waiting, a single question goes out at once. There is no timer and no target size: under light load a
// group is one question and costs what it would cost alone, under heavy load the groups grow by themselves.
//
// Promises:
//   - Questions are asked in the order in which they came, each at most once.
//   - At most Options.Workers calls are in flight.
//   - A full queue answers ErrFull at once. Nobody waits for room, since whoever waits there answers nobody in time.
//   - An asker whose context ends is answered with the context's error at once. If the question was still queued it is
//     not asked any more; if it was in flight its outcome is unknown.
//   - Close answers every question that was taken.
//
// The package knows nothing of coupons.
package batching

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Errors of Do that come from the batcher. With ErrFull and ErrClosed the question was not asked.
var (
	ErrFull   = errors.New("batching: too many questions are waiting")
	ErrClosed = errors.New("batching: closed")
)

// Result is the answer to one question. An Err means what the run function means by it.
type Result[A any] struct {
	Answer A
	Err    error
}

// Options bound a batcher. Every field must be positive, except that Workers 0 is 1.
type Options struct {
	Max     int           // questions a call
	Queue   int           // questions that may wait; 8 bytes each are set aside
	Workers int           // calls in flight at the same time
	Timeout time.Duration // what one call may take; its context ends then
}

// Batcher groups questions of type Q into calls. Its methods may be called concurrently.
type Batcher[Q, A any] struct {
	run  func(ctx context.Context, qs []Q) []Result[A]
	opts Options

	mu      sync.Mutex
	arrived sync.Cond     // on mu: a question came in, or the batcher closed
	ring    []*item[Q, A] // waiting questions, from head on, around the end
	head    int
	waiting int
	closed  bool

	items sync.Pool // of *item[Q, A] whose asker has read the answer
	done  sync.WaitGroup
}

// item is one question on its way. Its asker gives it back to the pool after reading the answer; one whose asker went
// away is left to the garbage collector, since the worker may still write to it.
type item[Q, A any] struct {
	ctx    context.Context // the asker's; looked at once, when the worker takes the question
	by     context.Context // likewise
	q      Q
	result Result[A]
	ready  chan struct{}  // holds one: the worker never waits for an asker
	then   func(A, error) // of Submit; nil: an asker waits
}

// New starts a batcher around run, which gets at least one and at most Options.Max questions and must return as many
// results in the same order. The context of run ends after Options.Timeout and belongs to no asker. It panics on
// options that are not positive: they are constants of the program.
func New[Q, A any](run func(ctx context.Context, qs []Q) []Result[A], opts Options) *Batcher[Q, A] {
	if opts.Workers == 0 {
		opts.Workers = 1
	}
	if opts.Max < 1 || opts.Queue < 1 || opts.Workers < 1 || opts.Timeout <= 0 {
		panic(fmt.Sprintf("batching: options must be positive: %+v", opts))
	}
	b := &Batcher[Q, A]{run: run, opts: opts, ring: make([]*item[Q, A], opts.Queue)}
	b.arrived.L = &b.mu
	b.items.New = func() any { return &item[Q, A]{ready: make(chan struct{}, 1)} }
	for range opts.Workers {
		b.done.Go(b.work)
	}
	return b
}

// Do asks q and returns its answer, or ErrFull, ErrClosed or the error of ctx.
func (b *Batcher[Q, A]) Do(ctx context.Context, q Q) (A, error) {
	return b.DoBy(ctx, context.Background(), q)
}

// DoBy is Do that ends with by as well, and then returns its error. It is for a deadline that many askers share: a
// context of its own for each question can cost more than the question.
func (b *Batcher[Q, A]) DoBy(ctx, by context.Context, q Q) (A, error) {
	it := b.items.Get().(*item[Q, A]) // the pool holds nothing else
	it.ctx, it.by, it.q = ctx, by, q
	if err := b.push(it); err != nil {
		b.recycle(it)
		var none A
		return none, err
	}
	var over error
	select {
	case <-it.ready:
	case <-ctx.Done():
		over = ctx.Err()
	case <-by.Done():
		over = by.Err()
	}
	if over != nil {
		select {
		case <-it.ready: // both at once: an answer is worth more than the news that time is over
		default:
			var none A
			return none, over
		}
	}
	result := it.result
	b.recycle(it)
	return result.Answer, result.Err
}

// Submit asks q without waiting: then is called with what Do would have returned, by a worker, which it must not hold up.
// An error is ErrFull or ErrClosed; then is not called.
func (b *Batcher[Q, A]) Submit(q Q, then func(A, error)) error {
	it := b.items.Get().(*item[Q, A]) // the pool holds nothing else
	it.ctx, it.by, it.q, it.then = context.Background(), context.Background(), q, then
	err := b.push(it)
	if err != nil {
		b.recycle(it)
	}
	return err
}

// Close takes no more questions, waits until every question taken before is answered, and returns. That lasts at most
// (Queue/Max + 1) times Timeout for a run that heeds its context. Closing twice is allowed.
func (b *Batcher[Q, A]) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.arrived.Broadcast()
	b.done.Wait()
}

// Waiting is how many questions are queued now and not yet in flight.
func (b *Batcher[Q, A]) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

func (b *Batcher[Q, A]) push(it *item[Q, A]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.waiting == len(b.ring):
		return ErrFull
	}
	b.ring[(b.head+b.waiting)%len(b.ring)] = it
	b.waiting++
	b.arrived.Signal() // every question wakes a worker that sleeps, if there is one
	return nil
}

// take fills group with what waits, at most Max, and says whether the worker goes on.
func (b *Batcher[Q, A]) take(group []*item[Q, A]) ([]*item[Q, A], bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.waiting == 0 {
		if b.closed {
			return nil, false
		}
		b.arrived.Wait()
	}
	for len(group) < b.opts.Max && b.waiting > 0 {
		it := b.ring[b.head]
		b.ring[b.head] = nil
		b.head = (b.head + 1) % len(b.ring)
		b.waiting--
		if it.ctx.Err() == nil && it.by.Err() == nil { // else the asker has its answer already
			group = append(group, it)
		}
	}
	return group, true
}

func (b *Batcher[Q, A]) work() {
	group := make([]*item[Q, A], 0, b.opts.Max)
	questions := make([]Q, 0, b.opts.Max)
	for {
		var more bool
		if group, more = b.take(group[:0]); !more {
			return
		}
		if len(group) == 0 {
			continue
		}
		questions = questions[:0]
		for _, it := range group {
			questions = append(questions, it.q)
		}
		b.ask(group, questions)
		clear(group)
		clear(questions) // keeps nothing of the askers alive while idle
	}
}

func (b *Batcher[Q, A]) ask(group []*item[Q, A], questions []Q) {
	ctx, cancel := context.WithTimeout(context.Background(), b.opts.Timeout)
	results := b.run(ctx, questions)
	cancel()
	for i, it := range group {
		if i < len(results) {
			it.result = results[i]
		} else {
			it.result = Result[A]{Err: fmt.Errorf("batching: a call with %d questions gave %d results", len(group), len(results))}
		}
		if it.then == nil {
			it.ready <- struct{}{}
			continue
		}
		then, result := it.then, it.result
		b.recycle(it)
		then(result.Answer, result.Err)
	}
}

func (b *Batcher[Q, A]) recycle(it *item[Q, A]) {
	ready := it.ready
	*it = item[Q, A]{ready: ready}
	b.items.Put(it)
}
