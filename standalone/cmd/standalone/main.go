// Command standalone runs the whole product in one process on embedded servers, or shows it to a crowd.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/firstcome/firstcome/core/support/lifecycle"
)

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, before there was a verdict
)

const gcPercent = 400

func main() { os.Exit(run(time.Now(), os.Args[1:], os.Stdout, os.Stderr)) }

func run(started time.Time, args []string, out, errOut io.Writer) int {
	if os.Getenv("GOGC") == "" {
		// The embedded Redis makes a Lua state for every script, so that a third of the time went into collecting
		// garbage; four times the heap (of some 50 MB) makes it a tenth.
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	root := newRoot(started)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, lifecycle.ErrSignal):
		_, _ = fmt.Fprintln(errOut, "standalone: interrupted before the verdict") // nobody is left to tell that this failed
		return exitInterrupted
	case errors.As(err, &usage):
		_, _ = fmt.Fprintln(errOut, err)
		return exitUsage
	default:
		_, _ = fmt.Fprintln(errOut, "standalone:", err)
		return exitFailed
	}
}
