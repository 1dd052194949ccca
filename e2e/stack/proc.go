package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Proc is one process of a stack.
type Proc struct {
	Role string
	HTTP string // base URL of the api; "" for other roles
	Ops  string // base URL of the ops listener

	cmd  *exec.Cmd
	log  *safeBuffer
	done chan struct{}
	err  error
}

// Launch starts a role on free ports and waits until it says it is ready. env are settings for this process alone.
func (s *Stack) Launch(t *testing.T, role string, args []string, env ...string) *Proc {
	t.Helper()
	for attempt := 1; ; attempt++ {
		p := s.launch(t, role, args, "", env)
		err := p.waitReady()
		if err == nil {
			s.Procs = append(s.Procs, p)
			s.Ops = append(s.Ops, p.Ops)
			if p.HTTP != "" {
				s.setAPI(p.HTTP)
			}
			return p
		}
		p.Kill(t)
		// Between choosing a free port and listening on it another test may take it: worth another choice.
		if attempt < 3 && strings.Contains(p.log.String(), "in use") {
			continue
		}
		require.NoError(t, err, "%s did not get ready:\n%s", role, p.log.String())
	}
}

func (s *Stack) setAPI(url string) {
	for i, old := range s.APIs {
		if old == "" || s.Kind == Embedded {
			s.APIs[i] = url
			return
		}
	}
	s.APIs = append(s.APIs, url)
}

// launch starts a role; point, if there is one, is where it dies (Doomed).
func (s *Stack) launch(t *testing.T, role string, args []string, point string, own []string) *Proc {
	t.Helper()
	opsAddr := freeAddr(t)
	p := &Proc{Role: role, Ops: "http://" + opsAddr, log: &safeBuffer{}, done: make(chan struct{})}
	env := append(append(cleanEnv(), s.env...), own...)
	env = append(env, "FIRSTCOME_OPS_ADDR="+opsAddr)
	if role == "api" || role == "standalone" {
		addr := freeAddr(t)
		p.HTTP = "http://" + addr
		env = append(env, "FIRSTCOME_HTTP_ADDR="+addr)
	}
	var tags []string
	if point != "" {
		tags = []string{crashTag}
		env = append(env, "CRASHPOINT="+point)
	}
	p.cmd = exec.Command(binary(t, role, tags...), args...) //nolint:gosec,noctx // a program of this workspace, ended by Cleanup
	p.cmd.Env, p.cmd.Dir = env, s.dir
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("--- %s (%s) said:\n%s", role, p.Ops, p.log.tail(64<<10))
		}
	})
	return p
}

// Run runs a role's command to its end and returns what it printed.
func (s *Stack) Run(t *testing.T, role string, args ...string) string {
	t.Helper()
	out, err := s.TryRun(t, role, args...)
	require.NoError(t, err, "%s %v:\n%s", role, args, out)
	return out
}

// TryRun is Run for a command that may fail.
func (s *Stack) TryRun(t *testing.T, role string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, role), args...) //nolint:gosec // a program of this workspace
	cmd.Env, cmd.Dir = append(cleanEnv(), s.env...), s.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *Proc) waitReady() error {
	deadline := time.Now().Add(readyWithin)
	last := errors.New("not asked yet")
	for time.Now().Before(deadline) {
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %w", errors.Join(p.err, errors.New("before it was ready")))
		case <-time.After(20 * time.Millisecond):
		}
		if last = ask(p.Ops + "/readyz"); last == nil {
			return nil
		}
	}
	return fmt.Errorf("not ready within %s: %w", readyWithin, last)
}

func ask(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only the status counts
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", url, resp.StatusCode)
	}
	return nil
}

// Stop ends the process gently (SIGTERM) and, if it does not obey within 30 s, at once and fails the test. Stopping one
// that has ended is nothing.
func (p *Proc) Stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may just have ended
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // or sleep
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			p.Kill(t)
		}
		t.Errorf("%s did not end within 30 s of SIGTERM", p.Role)
	}
}

// Kill ends the process at once (SIGKILL), as a crash does.
func (p *Proc) Kill(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Log is what the process has printed so far.
func (p *Proc) Log() string { return p.log.String() }

var built struct {
	sync.Mutex
	dir  string
	done map[string]error
}

// binary builds a role, with build tags if there are some, once for all tests of the run, in FIRSTCOME_TEST_BIN if that
// is set.
func binary(t *testing.T, role string, tags ...string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.done == nil {
		built.done = map[string]error{}
		built.dir = os.Getenv("FIRSTCOME_TEST_BIN")
		if built.dir == "" {
			dir, err := os.MkdirTemp("", "firstcome-e2e-")
			require.NoError(t, err)
			built.dir = dir
		}
	}
	path := filepath.Join(built.dir, strings.Join(append([]string{role}, tags...), "-"))
	err, seen := built.done[path]
	if !seen {
		var out []byte
		cmd := exec.Command("go", "build", "-tags="+strings.Join(tags, ","), "-o", path, "github.com/firstcome/firstcome/"+role+"/cmd/"+role) //nolint:gosec,noctx // a package of this workspace
		out, err = cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build %s: %w\n%s", role, err, out)
		}
		built.done[path] = err
	}
	require.NoError(t, err)
	return path
}

// RemoveBinaries is for TestMain, after all tests.
func RemoveBinaries() {
	built.Lock()
	defer built.Unlock()
	if built.dir != "" && os.Getenv("FIRSTCOME_TEST_BIN") == "" {
		_ = os.RemoveAll(built.dir) // a temporary folder: what stays is the system's to clean
	}
}

// cleanEnv is the environment with the settings of the real servers, but nothing else of firstcome that the person who
// runs the tests may have set.
func cleanEnv() []string {
	var kept []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "FIRSTCOME_") || strings.HasPrefix(name, "FIRSTCOME_REDIS_") ||
			strings.HasPrefix(name, "FIRSTCOME_KAFKA_") {
			kept = append(kept, pair)
		}
	}
	return kept
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // only its port was wanted
	return l.Addr().String()
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *safeBuffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}

// Pause stops the process' time (SIGSTOP); Resume, or the end of the test, lets it go on.
func (p *Proc) Pause(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }) // it may have ended
}

// Resume ends a Pause.
func (p *Proc) Resume(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// Proc is the api behind a base URL.
func (s *Stack) Proc(t *testing.T, url string) *Proc {
	t.Helper()
	for _, p := range s.Procs {
		if p.HTTP == url {
			return p
		}
	}
	t.Fatalf("no process serves %s", url)
	return nil
}

// Metric sums the series of a name and of labels (`call="admit"`) that the i-th api's /metrics has; 0 when there is none.
func (s *Stack) Metric(t *testing.T, i int, name string, labels ...string) float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Proc(t, s.APIs[i%len(s.APIs)]).Ops+"/metrics", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	sum := 0.0
lines:
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		its, of, _ := strings.Cut(series, "{")
		if its != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(of, label) {
				continue lines
			}
		}
		n, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err)
		sum += n
	}
	return sum
}

// Terminate asks the process to end (SIGTERM) and does not wait.
func (p *Proc) Terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
}

// Status is the exit status of a process that has ended; -1 when a signal ended it.
func (p *Proc) Status() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}
