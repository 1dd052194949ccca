package lifecycle

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// ErrSignal is the cause of a context that a signal ended.
var ErrSignal = errors.New("asked to stop by a signal")

// exitAtOnce is the status when a second signal cuts the graceful stop short: 128 + SIGINT, as shells report it.
const exitAtOnce = 130

// Signals returns a context that the first SIGINT or SIGTERM ends, with ErrSignal as its cause. A second signal ends
// the process at once: everything is safe to kill, so nobody has to wait for a stop that hangs. The function gives the
// signals back; call it before the program ends.
func Signals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel(ErrSignal)
		case <-done:
			return
		}
		select {
		case <-signals:
			os.Exit(exitAtOnce)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
