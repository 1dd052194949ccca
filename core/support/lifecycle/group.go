package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// DefaultStop bounds a graceful stop: above every timeout of a single exchange (10 s), below the 30 s after which
// container engines kill.
const DefaultStop = 20 * time.Second

// Group is the parts of one program. Add them in the order in which they need each other, then call Run once.
type Group struct {
	log  *slog.Logger
	stop time.Duration
	all  []*part
}

type part struct {
	name  string
	run   func(ctx context.Context) error
	close func(ctx context.Context) error

	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done
}

// NewGroup makes an empty group whose stop takes at most the given time; 0 is DefaultStop.
func NewGroup(log *slog.Logger, stop time.Duration) *Group {
	if stop <= 0 {
		stop = DefaultStop
	}
	return &Group{log: log, stop: stop}
}

// Go adds a part that runs until its context ends. A part that returns earlier, with an error or without, stops the
// whole group.
func (g *Group) Go(name string, run func(ctx context.Context) error) {
	g.all = append(g.all, &part{name: name, run: run, done: make(chan struct{})})
}

// OnStop adds something to be closed when it is its turn in the opposite order. The context that it gets ends when the
// group's time to stop is over.
func (g *Group) OnStop(name string, closeIt func(ctx context.Context) error) {
	g.all = append(g.all, &part{name: name, close: closeIt, done: make(chan struct{})})
}

// Run starts all parts and returns when all have stopped: nil when the context's end was the reason and every part
// stopped without an error; else the joined errors, each with the part's name. Parts that do not stop in time are named
// in the error and left behind; the program is expected to end then.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan *part, len(g.all))
	for _, p := range g.all {
		if p.run == nil {
			continue
		}
		// Each part has a context of its own, so that the end of ctx does not stop all of them at the same moment.
		var own context.Context
		own, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go func() {
			defer close(p.done)
			p.err = p.run(own)
			ended <- p
		}()
	}
	var first *part
	select {
	case <-ctx.Done():
		g.log.Info("stopping", "why", context.Cause(ctx), "within", g.stop)
	case first = <-ended:
		g.log.Error("stopping, since a part ended by itself", "part", first.name, "error", first.err)
	}
	return g.stopAll(context.WithoutCancel(ctx), first)
}

// Abandon stops what was added without ever having run the group: for a start that failed half way.
func (g *Group) Abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.stop)
	defer cancel()
	var errs []error
	for i := len(g.all) - 1; i >= 0; i-- {
		if p := g.all[i]; p.close != nil {
			if err := p.close(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (g *Group) stopAll(ctx context.Context, first *part) error {
	ctx, cancel := context.WithTimeout(ctx, g.stop)
	defer cancel()
	var errs []error
	var late []string
	for i := len(g.all) - 1; i >= 0; i-- {
		p := g.all[i]
		if p.run == nil {
			if err := p.close(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
			}
			continue
		}
		p.cancel()
		select {
		case <-p.done:
			errs = append(errs, p.outcome(p == first))
		case <-ctx.Done():
			late = append(late, p.name)
		}
	}
	if len(late) > 0 {
		errs = append(errs, fmt.Errorf("not stopped after %v: %s", g.stop, strings.Join(late, ", ")))
	}
	return errors.Join(errs...)
}

// outcome is the part's error; one that ended of itself without one is an error too, and the end of its own context is
// none.
func (p *part) outcome(byItself bool) error {
	switch {
	case p.err == nil && byItself:
		return fmt.Errorf("%s ended by itself", p.name)
	case p.err == nil, !byItself && errors.Is(p.err, context.Canceled):
		return nil
	default:
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
}
