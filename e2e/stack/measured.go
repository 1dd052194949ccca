package stack

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// measuredWithin bounds a command that is measured.
const measuredWithin = 10 * time.Minute

// Measured is TryRun that also tells the greatest memory (RSS) that the process had, in bytes.
func (s *Stack) Measured(t *testing.T, role string, args ...string) (out string, peak int64, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), measuredWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, role), args...) //nolint:gosec // a program of this workspace
	cmd.Env, cmd.Dir = append(cleanEnv(), s.env...), s.dir
	text, err := cmd.CombinedOutput()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = usage.Maxrss << 10 // Linux counts in KB
	}
	return string(text), peak, err
}
