// Package servers starts real Kafka, Redis and MySQL processes of a test's own on free loopback ports: servers that may
// be killed, paused, and started again on old or changed data without hurting anybody else.
//
// The programs are those that `make services` installs or keeps in the user's cache folder; this package fetches
// nothing. It knows nothing of testing, because the chaos harness is no test: everything returns errors.
package servers

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// ErrMissing says that a server's program is not on this machine.
var ErrMissing = errors.New("is not on this machine: run `make services VIA=packages` once")

// startWithin bounds a start: a Kafka that recovers its log on two busy cores is the slowest.
const startWithin = 2 * time.Minute

// Server is one server process on a folder and a port that stay the same over restarts. All methods may be called by
// several goroutines.
type Server struct {
	name      string
	dir       string // its data
	addr      string // host:port
	dsn       string
	bus       string // port of a cluster's node for the others
	listeners []string
	command   func() (*exec.Cmd, error)       // a new process on dir and addr
	ready     func(ctx context.Context) error // nil: it answers
	logPath   string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Addr is where it listens, host:port.
func (s *Server) Addr() string { return s.addr }

// Dir is the folder of its data.
func (s *Server) Dir() string { return s.dir }

// Listener is the real address behind the i-th of KafkaOptions.Advertised.
func (s *Server) Listener(i int) string { return s.listeners[i] }

// DSN is how a MySQL server is reached, in go-sql-driver's form; "" for others.
func (s *Server) DSN() string { return s.dsn }

// Bus is the port on which a node of a Redis Cluster hears the others. By default it is 10,000 above the node's, where systems
// take ports for outgoing connections.
func (s *Server) Bus() string { return s.bus }

// Start starts it on its folder and waits until it answers. Starting one that runs is an error.
func (s *Server) Start(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended():
			return fmt.Errorf("%s ended before it was ready; it said:\n%s", s.name, s.logTail())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not get ready: %w; it said:\n%s", s.name, err, s.logTail()), s.Kill())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		select {
		case <-s.done:
		default:
			return fmt.Errorf("%s runs already", s.name)
		}
	}
	cmd, err := s.command()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of %s: %w", s.name, err)
	}
	defer log.Close() //nolint:errcheck // the process has a descriptor of its own
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that an interrupt at the terminal reaches the harness alone, which stops its servers in order;
	// and nothing is left behind when the harness itself is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the *thread* that made the child ends, and Go ends threads as it likes: this one
		// lives as long as the child.
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.cmd, s.done = cmd, done
	return nil
}

func (s *Server) ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Running says whether the process is there, paused or not.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// signal sends sig; a process that has ended is an error, because a fault that met nobody is none.
func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return fmt.Errorf("%s was never started", s.name)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %v to %s: %w", sig, s.name, err)
	}
	return nil
}

// Kill ends it at once (SIGKILL), as a crash does, and waits for the end. Nothing to do when it does not run.
func (s *Server) Kill() error {
	if !s.Running() {
		return nil
	}
	if err := s.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.ended()
	return nil
}

// Stop ends it in order (SIGTERM) and waits for the end.
func (s *Server) Stop(ctx context.Context) error {
	if !s.Running() {
		return nil
	}
	if err := s.signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended():
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s does not end: %w", s.name, ctx.Err()), s.Kill())
	}
}

// Pause stops its clock (SIGSTOP): connections stay and nobody answers. Resume lets it go on.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

// Close kills it. Its folder stays; it belongs to the caller.
func (s *Server) Close() error { return s.Kill() }

// Log is all that it has printed, over all its lives.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logPath)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *Server) logTail() string {
	text := s.Log()
	return text[max(0, len(text)-8<<10):]
}

// newServer makes the folder and takes a free port. Another program may take the port before the server listens there;
// that start fails with the server's own words, and the caller's whole test with it: rare, and never silent.
func newServer(name, dir string) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of %s: %w", name, err)
	}
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of %s: %w", name, err)
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return &Server{name: name, dir: dir, addr: addr, logPath: filepath.Join(filepath.Dir(dir), filepath.Base(dir)+".log")}, nil
}

// Ports are taken from below the range that systems hand to outgoing connections (Linux from 32768): while a server is
// down, a connection could get its port, even one that tries to reach it.
const (
	firstPort = 12_000
	lastPort  = 31_999
)

// freeAddr is a loopback address that nobody listens on.
func freeAddr() (string, error) {
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+mathrand.IntN(lastPort-firstPort+1)) //nolint:gosec // a port is no secret
		l, err := net.Listen("tcp", addr)                                                  //nolint:noctx // closed at once
		if err != nil {
			continue
		}
		return addr, l.Close()
	}
	return "", errors.New("no free port in 200 tries")
}

// cacheDir is where scripts/lib/base.sh keeps what is no system package.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the cache folder of make services: %w", err)
	}
	return filepath.Join(base, "firstcome"), nil
}

func look(program string, places ...string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, path := range places {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s %w", program, ErrMissing)
}
