package stack

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crashTag builds the crash points into a role (core/support/crashpoint).
const crashTag = "crashpoints"

// Doomed starts a build of a role that dies by SIGKILL when it comes by a crash point, or sleeps there by SIGSTOP (point
// "name:1:stop"). It returns when the process is ready, or has met its point before that. It is none of s.Procs.
func (s *Stack) Doomed(t *testing.T, role string, args []string, point string, env ...string) *Proc {
	t.Helper()
	p := s.launch(t, role, args, point, env)
	Eventually(t, readyWithin, func() bool { return p.Ended() || p.Sleeps() || ask(p.Ops+"/readyz") == nil },
		"%s is ready or at %s", role, point)
	return p
}

// Binary is the path of a role's program as everybody gets it.
func Binary(t *testing.T, role string) string {
	t.Helper()
	return binary(t, role)
}

// At is the stack as clients of this api alone see it.
func (s *Stack) At(p *Proc) *Stack {
	one := *s
	one.APIs = []string{p.HTTP}
	return &one
}

// Ended says whether the process is over.
func (p *Proc) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Sleeps says whether the process is stopped (SIGSTOP).
func (p *Proc) Sleeps() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	end := bytes.LastIndexByte(text, ')')
	return err == nil && end > 0 && len(text) > end+2 && text[end+2] == 'T'
}

// Wake lets a process that sleeps go on.
func (p *Proc) Wake(t *testing.T) {
	t.Helper()
	require.True(t, p.Sleeps(), "%s does not sleep", p.Role)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// Exit waits for the end of the process and says by which signal it came; -1: by none.
func (p *Proc) Exit(t *testing.T, within time.Duration) syscall.Signal {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s goes on after %s:\n%s", p.Role, within, p.log.tail(16<<10))
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	if !status.Signaled() {
		return -1
	}
	return status.Signal()
}
