package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/standalone"
)

// running is a standalone stack in this process.
type running struct {
	standalone.Running

	ended  context.Context // ends with the stack; its cause is the stack's error
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done
}

var errEnded = errors.New("the stack ended")

// start starts a stack and waits until it serves.
func start(ctx context.Context, cfg config.Config, log *slog.Logger) (*running, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended, end := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &running{ended: ended, cancel: cancel, done: make(chan struct{})}
	ready := make(chan standalone.Running, 1)
	go func() {
		defer close(r.done)
		r.err = standalone.Run(own, cfg, standalone.Options{Log: log, Ready: func(now standalone.Running) { ready <- now }})
		end(errors.Join(errEnded, r.err))
	}()
	var err error
	select {
	case r.Running = <-ready:
		return r, nil
	case <-r.done:
		cancel()
		return nil, r.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(readyWithin):
		err = fmt.Errorf("the stack is not ready after %v", readyWithin)
	}
	return nil, errors.Join(err, r.stop())
}

// wait serves until ctx ends or the stack does.
func (r *running) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.done:
		return context.Cause(r.ended)
	}
}

// stop ends the stack and returns its error; again and again the same.
func (r *running) stop() error {
	r.cancel()
	<-r.done
	return r.err
}
