// Package proxy stands between two parts of a system under test and does to their connections what networks do: cuts
// them, holds them up, slows them down, loses the replies, closes one half.
package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// fault is what happens to the bytes at present.
type fault int

const (
	none    fault = iota
	cut           // no connection lives
	stalled       // no byte passes
	muted         // requests pass, replies vanish
)

// Proxy listens on a free loopback port and leads every connection to a target.
type Proxy struct {
	listener net.Listener

	mu       sync.Mutex
	changed  *sync.Cond // the fault changed, or a link closed
	target   string
	fault    fault
	delay    time.Duration
	links    map[*link]struct{}
	affected int
	closed   bool
	wait     sync.WaitGroup
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	spoiled        bool // a reply was lost: the connection must not live on
	closed         bool
}

// Listen starts a proxy for target, host:port.
func Listen(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by Close
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{listener: l, target: target, links: map[*link]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.wait.Go(p.accept)
	return p, nil
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget leads new connections to another address; those that are open stay where they are until Cut.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Cut closes all connections and refuses new ones until Heal.
func (p *Proxy) Cut() { p.set(cut, 0) }

// Stall lets connections be, and no byte pass either way until Heal; new connections are accepted and stay silent.
func (p *Proxy) Stall() { p.set(stalled, 0) }

// DropReplies lets requests pass and throws the replies away until Heal, which closes the connections that lost some:
// for the client an error, for the server all is done.
func (p *Proxy) DropReplies() { p.set(muted, 0) }

// Delay holds up every chunk by d, either way, until Heal.
func (p *Proxy) Delay(d time.Duration) { p.set(none, d) }

// HalfClose closes the direction towards the client of every connection that is open now; its requests still pass. New
// connections are whole.
func (p *Proxy) HalfClose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.affected = 0
	for l := range p.links {
		if c, ok := l.client.(*net.TCPConn); ok {
			_ = c.CloseWrite() // it may have gone by itself
			p.affected++
		}
	}
}

// Heal ends the present fault.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.delay = none, 0
	for l := range p.links {
		if l.spoiled {
			p.drop(l)
		}
	}
	p.changed.Broadcast()
}

// Affected counts the connections and chunks that have met the present or last fault; 0: it took no effect.
func (p *Proxy) Affected() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.affected
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	_ = p.listener.Close() // nothing was written to it
	for l := range p.links {
		p.drop(l)
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	p.wait.Wait()
}

func (p *Proxy) set(f fault, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.delay, p.affected = f, delay, 0
	if f == cut {
		for l := range p.links {
			p.drop(l)
			p.affected++
		}
	}
	p.changed.Broadcast()
}

// drop closes a link; the lock is held.
func (p *Proxy) drop(l *link) {
	l.closed = true
	_ = l.client.Close() // both ends are to be gone, however
	_ = l.server.Close()
	delete(p.links, l)
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // Close
		}
		p.wait.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	target, refused := p.target, p.fault == cut || p.closed
	if refused {
		p.affected++
	}
	p.mu.Unlock()
	if refused {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", target, 5*time.Second) //nolint:noctx // bounded by itself
	if err != nil {
		reset(client) // nobody listens there: to the client it looks the same
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = struct{}{}
	if p.fault == cut || p.closed {
		p.drop(l)
	}
	p.mu.Unlock()
	p.wait.Go(func() { p.copy(l, server, client, false) })
	p.copy(l, client, server, true)
}

// reset closes with RST, as a port without a listener answers.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a connection that is gone already needs none
	}
	_ = c.Close()
}

func (p *Proxy) copy(l *link, to, from net.Conn, reply bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && p.pass(l, reply) {
			if _, failed := to.Write(buffer[:n]); failed != nil && !reply {
				err = failed // a client that was half-closed may go on asking
			}
		}
		if err == nil {
			continue
		}
		// The end of one direction is passed on; the link ends with the second, or with an error.
		if tcp, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) && tcp.CloseWrite() == nil {
			p.mu.Lock()
			both := l.closed
			p.mu.Unlock()
			if !both && !reply {
				return
			}
		}
		p.mu.Lock()
		p.drop(l)
		p.mu.Unlock()
		return
	}
}

// pass holds up a chunk as the present fault demands; false: it is thrown away.
func (p *Proxy) pass(l *link, reply bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == stalled {
		p.affected++
	}
	for p.fault == stalled && !l.closed {
		p.changed.Wait()
	}
	if l.closed {
		return false
	}
	if p.fault == muted && reply {
		p.affected++
		l.spoiled = true
	}
	if reply && l.spoiled {
		return false
	}
	if d := p.delay; d > 0 {
		p.affected++
		p.mu.Unlock()
		<-time.After(d)
		p.mu.Lock()
	}
	return !l.closed
}
