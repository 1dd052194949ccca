package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second // one attempt to reach a server at the start
	startPause   = time.Second      // between two
	sayEvery     = 10               // attempts for one line in the log, the first included
)

// Starting waits at a role's start for servers that are away, and says for what. Log is needed.
type Starting struct {
	Log *slog.Logger

	mu  sync.Mutex
	why error // the start waits for it; nil: nothing
	on  bool  // the start is over
}

// Until tries until it succeeds, ctx ends, or the error is one that does not pass.
func (s *Starting) Until(ctx context.Context, passes func(error) bool, try func(ctx context.Context) error) error {
	for attempt := 0; ; attempt++ {
		once, cancel := context.WithTimeout(ctx, startTimeout)
		err := try(once)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !passes(err):
			return err
		}
		s.set(err, false)
		if attempt%sayEvery == 0 {
			s.Log.Warn("waiting for a server", "error", err)
		}
		select {
		case <-time.After(startPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Done ends the start.
func (s *Starting) Done() { s.set(nil, true) }

func (s *Starting) set(why error, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why, s.on = why, on
}

// Check is the start as a check of readiness.
func (s *Starting) Check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.on:
		return nil
	case s.why == nil:
		return errors.New("starting")
	default:
		return fmt.Errorf("starting: %w", s.why)
	}
}

// Away says whether a server could not be reached, as opposed to one that answered and refused. A name that is not
// known counts: where containers start together, it comes with its container.
func Away(err error) bool {
	var network net.Error
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network)
}
