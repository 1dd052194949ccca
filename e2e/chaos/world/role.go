package world

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/firstcome/firstcome/e2e/proxy"
)

// Role is one of the product's programs under a supervisor: whatever ends it, it is started again after a short, random
// time, as an init system or an orchestrator does.
type Role struct {
	Name  string // api-1
	Kind  string // api
	HTTP  string // base URL, by way of the front proxy; apis only
	Ops   string // base URL of the ops listener
	Front *proxy.Proxy
	Links map[string]*proxy.Proxy // by the server's name

	program string
	args    []string
	env     []string
	dir     string
	logPath string
	chance  *rand.Rand // of the supervisor alone

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{}
	starts int
	closed bool
	wait   sync.WaitGroup
}

// shortLife: a program that ends sooner could not start, for a server that it needs is down.
const shortLife = 4 * time.Second

// supervise starts the program and, until Close, starts it again whenever it has ended.
func (r *Role) supervise() {
	r.wait.Go(func() {
		fails := 0 // in a row
		for {
			began := time.Now()
			done, err := r.start()
			if err != nil {
				r.note("cannot be started: " + err.Error())
			}
			if done == nil && err == nil {
				return // closed
			}
			if err == nil {
				<-done
			}
			if time.Since(began) < shortLife {
				fails = min(fails+1, 3)
			} else {
				fails = 0
			}
			// 0.1 to 0.9 s, so that a start meets the others in every state; up to eight times that for one that ends at once.
			pause := 100*time.Millisecond + time.Duration(r.chance.IntN(800))*time.Millisecond
			<-time.After(pause << fails)
		}
	})
}

// start starts the program once. Without channel and error, the role is closed.
func (r *Role) start() (<-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil //nolint:nilnil // said above
	}
	log, err := os.OpenFile(r.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	defer log.Close()                         //nolint:errcheck // the process has a descriptor of its own
	cmd := exec.Command(r.program, r.args...) //nolint:gosec,noctx // a program of the product, ended by signals
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = r.env, r.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread that made the child ends; this one lives as long as the child.
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			err = cmd.Wait()
			r.note(fmt.Sprintf("pid %d ended: %v", cmd.Process.Pid, err))
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	r.cmd, r.done = cmd, done
	r.starts++
	r.note(fmt.Sprintf("started as pid %d", cmd.Process.Pid))
	return done, nil
}

// note writes a line of the harness' own into the role's log.
func (r *Role) note(text string) {
	log, err := os.OpenFile(r.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // only the line is lost
	}
	_, _ = fmt.Fprintf(log, "=== %s %s %s\n", time.Now().UTC().Format("15:04:05.000"), r.Name, text)
	_ = log.Close() // as above
}

// running is the present process, nil when there is none.
func (r *Role) running() (*exec.Cmd, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return nil, nil
	}
	select {
	case <-r.done:
		return nil, nil
	default:
		return r.cmd, r.done
	}
}

// ErrNotRunning means that the role was down already: a fault that met nobody.
var ErrNotRunning = errors.New("it does not run at the moment")

// Pid of the present process.
func (r *Role) Pid() (int, error) {
	cmd, _ := r.running()
	if cmd == nil {
		return 0, fmt.Errorf("%s: %w", r.Name, ErrNotRunning)
	}
	return cmd.Process.Pid, nil
}

// Signal sends a signal to the process with that pid, if it is still the present one.
func (r *Role) Signal(pid int, sig syscall.Signal) error {
	cmd, _ := r.running()
	if cmd == nil || cmd.Process.Pid != pid {
		return fmt.Errorf("%s: pid %d: %w", r.Name, pid, ErrNotRunning)
	}
	return cmd.Process.Signal(sig)
}

// Await waits until the process with that pid has ended.
func (r *Role) Await(ctx context.Context, pid int) error {
	cmd, done := r.running()
	if cmd == nil || cmd.Process.Pid != pid {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: pid %d does not end: %w", r.Name, pid, ctx.Err())
	}
}

// State is the process' state letter by the kernel: T is stopped.
func State(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	// pid (name) state …; the name may hold anything.
	_, after, _ := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), ") ")
	state, _, _ := strings.Cut(after, " ")
	return state
}

// Ready asks /readyz.
func (r *Role) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Ops+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only the status counts
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: /readyz answers %d", r.Name, resp.StatusCode)
	}
	return nil
}

// Starts is how often it was started.
func (r *Role) Starts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starts
}

// end stops the supervisor and the process: gently, and by force after a while.
func (r *Role) end() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if cmd, done := r.running(); cmd != nil {
		_ = cmd.Process.Signal(syscall.SIGCONT) // it may be stopped, or have just ended
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			r.note("does not end within 15 s of SIGTERM and is killed")
			_ = cmd.Process.Kill()
		}
	}
	r.wait.Wait()
}

// Close ends the role and its proxies for good.
func (r *Role) Close() {
	r.end()
	if r.Front != nil {
		r.Front.Close()
	}
	for _, link := range r.Links {
		link.Close()
	}
}
