package crashpoint_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// The program of these tests comes by the point "here" three times and says so each time.
const program = `package main

import (
	"fmt"

	"github.com/firstcome/firstcome/core/support/crashpoint"
)

func main() {
	for i := range 3 {
		crashpoint.At("a-name-that-only-points-have")
		fmt.Println("passed", i+1)
	}
}
`

// build makes the program, with or without the points.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(source, []byte(program), 0o600))
	args := append(append([]string{"build", "-o", binary}, flags...), source)
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput() //nolint:gosec // a program of this test
	require.NoError(t, err, "%s", out)
	return binary
}

func run(t *testing.T, binary, asked string) (said string, status syscall.WaitStatus) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), "CRASHPOINT="+asked)
	out, err := cmd.Output()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	status, _ = cmd.ProcessState.Sys().(syscall.WaitStatus)
	return string(out), status
}

// What is released has neither the names of the points nor the variable that asks for one, so that nobody can end a
// process of theirs by it.
func TestAReleaseHoldsNothingOfIt(t *testing.T) {
	t.Parallel()
	require.False(t, crashpoint.On, "tests are a release, too")
	binary := build(t)
	text, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.NotContains(t, string(text), "a-name-that-only-points-have")
	require.False(t, bytes.Contains(text, []byte("CRASHPOINT")))
	said, status := run(t, binary, "a-name-that-only-points-have")
	require.Equal(t, "passed 1\npassed 2\npassed 3\n", said)
	require.Zero(t, status.ExitStatus())
}

func TestAProcessEndsExactlyAtItsPoint(t *testing.T) {
	t.Parallel()
	needLinux(t)
	binary := build(t, "-tags=crashpoints")
	const point = "a-name-that-only-points-have"
	for asked, want := range map[string]string{
		point: "", point + ":1": "", point + ":3": "passed 1\npassed 2\n",
		point + ":4": "passed 1\npassed 2\npassed 3\n", "another": "passed 1\npassed 2\npassed 3\n", "": "passed 1\npassed 2\npassed 3\n",
	} {
		said, status := run(t, binary, asked)
		require.Equal(t, want, said, asked)
		require.Equal(t, want != "passed 1\npassed 2\npassed 3\n", status.Signaled() && status.Signal() == syscall.SIGKILL, asked)
	}
	for _, wrong := range []string{point + ":", point + ":0", point + ":x", point + ":1:later"} {
		_, status := run(t, binary, wrong)
		require.Equal(t, 2, status.ExitStatus(), "%s is a mistake, and mistakes are loud", wrong)
	}
}

func TestAProcessSleepsAtItsPointAndGoesOn(t *testing.T) {
	t.Parallel()
	needLinux(t)
	binary := build(t, "-tags=crashpoints")
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary) //nolint:gosec // a program of this test
	cmd.Env = append(os.Environ(), "CRASHPOINT=a-name-that-only-points-have:2:stop")
	cmd.Stdout = &said
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return stateOf(t, cmd.Process.Pid) == 'T' }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	require.NoError(t, cmd.Wait())
	require.Equal(t, "passed 1\npassed 2\npassed 3\n", said.String())
}

func stateOf(t *testing.T, pid int) byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	require.NoError(t, err)
	end := bytes.LastIndexByte(text, ')')
	require.Positive(t, end)
	return text[end+2]
}

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the points are built on Linux only: nothing else signals one thread")
	}
}
