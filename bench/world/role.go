package world

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
	"syscall"
	"time"
)

// Role is a process of the product, or a server of the laboratory.
type Role struct {
	Name string
	Addr string // host:port of the api; "" for other roles
	Ops  string // base URL of the ops listener

	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // good once done is closed
}

// PID of the process.
func (r *Role) PID() int { return r.cmd.Process.Pid }

const (
	readyWithin = time.Minute
	endWithin   = 30 * time.Second
	lookEvery   = 20 * time.Millisecond
)

// Start starts the api or the consumer and waits until it says that it is ready. Close stops it if nobody did.
func (w *World) Start(ctx context.Context, name string) (*Role, error) {
	ops, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	r := &Role{Name: name, Ops: "http://" + ops}
	env := append(w.env, "FIRSTCOME_OPS_ADDR="+ops) //nolint:gocritic // the world's own stay as they are
	if name == "api" {
		if r.Addr, err = freeAddr(ctx); err != nil {
			return nil, err
		}
		env = append(env, "FIRSTCOME_HTTP_ADDR="+r.Addr)
	}
	cmd := exec.Command(filepath.Join(w.Bin, name)) //nolint:gosec,noctx // a program of the product, stopped by Close
	cmd.Env = env
	return r, w.launch(ctx, r, cmd, r.Ops+"/readyz")
}

// Serve starts a server that is no role of the product, with the roles' settings and -addr as its last argument, and waits
// until its /readyz answers 200.
func (w *World) Serve(ctx context.Context, name, program string, args ...string) (*Role, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append(args, "-addr", addr)...) //nolint:gosec,noctx // a program of this repository, stopped by Close
	cmd.Env = w.env
	r := &Role{Name: name, Addr: addr}
	return r, w.launch(ctx, r, cmd, "http://"+addr+"/readyz")
}

// ServeSelf is Serve for a command of this program.
func (w *World) ServeSelf(ctx context.Context, command string) (*Role, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return w.Serve(ctx, command, self, command)
}

func (w *World) launch(ctx context.Context, r *Role, cmd *exec.Cmd, ready string) error {
	log, err := os.CreateTemp(w.logs, r.Name+"-*.log")
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own handle
	cmd.Stdout, cmd.Stderr = log, log
	r.cmd, r.log, r.done = cmd, log.Name(), make(chan struct{})
	if err = cmd.Start(); err != nil {
		return err
	}
	go func() {
		r.err = cmd.Wait()
		close(r.done)
	}()
	w.later(r.Stop)
	if err = r.waitReady(ctx, ready); err != nil {
		return fmt.Errorf("%s does not get ready: %w\n%s", r.Name, err, r.tail())
	}
	return nil
}

// Stop ends the process gently; nothing for one that has ended.
func (r *Role) Stop(context.Context) error {
	select {
	case <-r.done:
		return nil
	default:
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may just have ended
	select {
	case <-r.done:
		return nil
	case <-time.After(endWithin):
		_ = r.cmd.Process.Kill() // likewise
		<-r.done
		return fmt.Errorf("%s did not end within %s:\n%s", r.Name, endWithin, r.tail())
	}
}

func (r *Role) waitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		_, err := get(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-r.done:
			return errors.Join(errors.New("it has ended"), r.err)
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}

// get reads what answers 200.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", url, resp.StatusCode, text)
	}
	return text, err
}

// tail is the end of what the process said.
func (r *Role) tail() []byte {
	const lines = 20
	text, err := os.ReadFile(r.log)
	if err != nil {
		return fmt.Appendf(nil, "its log cannot be read: %v", err)
	}
	all := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(all[max(len(all)-lines, 0):], nil)
}

// command runs a program of the product to its end.
func (w *World) command(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(w.Bin, program), args...) //nolint:gosec // a program of the product
	cmd.Env = w.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", program, args, err, out)
	}
	return nil
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
