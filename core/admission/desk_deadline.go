package admission

import (
	"context"
	"sync/atomic"
	"time"
)

// visit is the time a claim has: until its asker goes away, or until by.
type visit struct {
	asker context.Context
	by    context.Context
}

// look is the context of a look-up for the claim: it ends with by, and has the asker's values.
func (v visit) look() context.Context { return valued{Context: v.by, values: v.asker} }

// deadlines hands out contexts that end after length, or somewhat earlier: all that are asked for within a twentieth of
// length (deadlineGrain) get the same one. A context and a timer for each claim would cost more than all else the desk
// does for it.
type deadlines struct {
	base   context.Context
	length time.Duration
	latest atomic.Pointer[deadline]
}

type deadline struct {
	context.Context

	cancel context.CancelFunc // kept and not called: whoever has the context may still need it
	until  time.Time          // handed out until then
}

// next returns the context for one who begins now.
func (d *deadlines) next() context.Context {
	now := time.Now()
	if l := d.latest.Load(); l != nil && now.Before(l.until) {
		return l.Context
	}
	ctx, cancel := context.WithDeadline(d.base, now.Add(d.length)) //nolint:gosec // it ends by itself, or with base
	d.latest.Store(&deadline{Context: ctx, cancel: cancel, until: now.Add(d.length / deadlineGrain)})
	return ctx // of two who come here at once each keeps its own
}

// valued is a context that ends with one context and has the values of another. Its own come first, so that the
// standard library recognises it and derives from it without a goroutine.
type valued struct {
	context.Context
	values context.Context
}

func (v valued) Value(key any) any {
	if own := v.Context.Value(key); own != nil {
		return own
	}
	return v.values.Value(key)
}
