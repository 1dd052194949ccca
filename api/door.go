package api

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lastLook is how long after the last who came in the listener is closed: longer than a packet travels, so that
	// handshakes that are half way come through. lastLooks bounds it where the kernel cannot be told to begin no new ones.
	lastLook  = 100 * time.Millisecond
	lastLooks = time.Second
	// lingerIdle is how long connections stay open after the door is shut, without a request: a client that just sends one
	// gets its answer, and with it the word that the connection ends, where closing at once would cross its request.
	lingerIdle = time.Second
)

// errShut is why nobody is let in any more.
var errShut = errors.New("the door is shut")

// door is a listener that can be shut without turning away those who are already through the kernel's part of it: a
// connection that is established and not yet accepted is reset when its listener closes, and its request with it. Whoever
// knocks afterwards does not get a connection, and knows that it is safe to ask elsewhere.
type door struct {
	net.Listener

	shutting atomic.Bool
	by       time.Time // set before shutting

	mu   sync.Mutex
	open map[net.Conn]struct{} // connections that are not closed
	none chan struct{}         // closed when the last has closed after the door was shut; nil before somebody waits
}

func newDoor(l net.Listener) *door { return &door{Listener: l, open: map[net.Conn]struct{}{}} }

// Accept lets in whoever knocks; after shut those who were half way in, and then it closes the listener.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if !d.shutting.Load() {
		return c, err
	}
	if err == nil && time.Now().Before(d.by) {
		d.look()
		return c, nil
	}
	closed := d.Close()
	if err == nil {
		return c, nil // the next Accept fails
	}
	var errs []error
	for _, e := range []error{err, closed} {
		if e != nil && !errors.Is(e, os.ErrDeadlineExceeded) && !errors.Is(e, net.ErrClosed) {
			errs = append(errs, e)
		}
	}
	return nil, errors.Join(append(errs, errShut)...)
}

// shut makes Accept end soon. It returns why connections that are made meanwhile may be reset, or nil: none will be.
func (d *door) shut() error {
	d.by = time.Now().Add(lastLooks)
	err := refuseNew(d.Listener)
	d.shutting.Store(true)
	d.look()
	return err
}

// look bounds the wait for the next. A listener that knows no deadline is closed at once.
func (d *door) look() {
	if timed, ok := d.Listener.(interface{ SetDeadline(t time.Time) error }); ok {
		if timed.SetDeadline(time.Now().Add(lastLook)) == nil {
			return
		}
	}
	_ = d.Close() // Accept tells
}

// state is for http.Server.ConnState.
func (d *door) state(c net.Conn, s http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch s {
	case http.StateNew:
		d.open[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(d.open, c)
	case http.StateActive, http.StateIdle:
	}
	if len(d.open) == 0 && d.none != nil {
		close(d.none)
		d.none = nil
	}
}

// empty is closed when no connection is open any more. Call it once, after the last was let in.
func (d *door) empty() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	none := make(chan struct{})
	if len(d.open) == 0 {
		close(none)
		return none
	}
	d.none = none
	return none
}

// saying tells every client from the shutting on that the connection ends with the answer.
func (d *door) saying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.shutting.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
