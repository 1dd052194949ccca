// Package embedded is a Redis inside the process, for the standalone stack and for tests: miniredis, taught to say who it
// is. The gate's scripts ask INFO for the reign they run on (rule 1); miniredis refuses INFO inside a script, so that a
// hook before its commands answers it, with ids made for each start.
//
// It keeps nothing: a restart is a lost Redis, and the gates are rebuilt.
package embedded

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Server is one embedded Redis.
type Server struct {
	mini *miniredis.Miniredis

	mu    sync.Mutex // guards both ids
	runID string
	reign string

	clock   sync.Mutex // guards what follows
	stopped bool       // by SetTime
	aged    time.Time  // until when the keys have aged

	close func() // ends the aging, once
	ended chan struct{}
}

// version is the one whose scripts and commands miniredis follows.
const version = "7.4.0"

const (
	// ageEvery is how exactly keys expire while the clock runs; the shortest time to live that a gate sets is a sweeper's
	// lease of seconds, which only saves work.
	ageEvery = 500 * time.Millisecond
	// agePart bounds the share of the server's time that goes into aging, which looks at every key: 1 in 100.
	agePart = 100
)

// Start starts a server on host:port; port 0 takes a free one. Its clock is the host's until SetTime, and keys expire by it.
func Start(addr string) (*Server, error) {
	s := &Server{mini: miniredis.NewMiniRedis(), aged: time.Now(), ended: make(chan struct{})}
	s.NewIdentity()
	if err := s.mini.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("embedded redis on %s: %w", addr, err)
	}
	s.mini.Server().SetPreHook(s.answerInfo) // a call before this line gets an error, which is an unknown outcome
	closing := make(chan struct{})
	s.close = sync.OnceFunc(func() { close(closing) })
	go s.age(closing)
	return s, nil
}

// age lets keys expire. miniredis can do that itself (ClockTTL), but then it sorts and walks all its keys at every
// single command of a script: with a thousand coupons a claim took 9 ms.
func (s *Server) age(closing <-chan struct{}) {
	defer close(s.ended)
	timer := time.NewTimer(ageEvery)
	defer timer.Stop()
	for {
		select {
		case <-closing:
			return
		case <-timer.C:
		}
		began := time.Now()
		s.clock.Lock()
		if !s.stopped {
			s.ageUntil(began)
		}
		s.clock.Unlock()
		timer.Reset(max(ageEvery, agePart*time.Since(began)))
	}
}

// ageUntil is called under the lock of the clock.
func (s *Server) ageUntil(t time.Time) {
	if d := t.Sub(s.aged); d > 0 {
		s.mini.FastForward(d)
	}
	s.aged = t
}

// Addr is host:port.
func (s *Server) Addr() string { return s.mini.Addr() }

// Close stops the server and forgets everything.
func (s *Server) Close() {
	s.close()
	<-s.ended
	s.mini.Close()
}

// NewIdentity makes it another server that has the same data, as after a restart from an old dump.
func (s *Server) NewIdentity() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runID, s.reign = newID(), newID()
}

// NewRun changes the run id alone.
func (s *Server) NewRun() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runID = newID()
}

// NewReign leaves the run id and changes the replication id, as a failover to a replica and back does.
func (s *Server) NewReign() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reign = newID()
}

// SetTime stops the server's clock at t. Keys expire by it.
func (s *Server) SetTime(t time.Time) {
	s.clock.Lock()
	defer s.clock.Unlock()
	s.stopped = true
	s.mini.SetTime(t)
	s.ageUntil(t)
}

// Raw is the server inside, for tests that look at keys or break them.
func (s *Server) Raw() *miniredis.Miniredis { return s.mini }

func (s *Server) answerInfo(c *server.Peer, cmd string, args ...string) bool {
	if cmd != "INFO" || len(args) != 1 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch strings.ToLower(args[0]) {
	case "server":
		c.WriteBulk("# Server\r\nredis_version:" + version + "\r\nrun_id:" + s.runID + "\r\n")
	case "replication":
		c.WriteBulk("# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:" + s.reign + "\r\n")
	case "memory": // what is true of it: it has no limit and throws nothing away
		c.WriteBulk("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n")
	case "persistence":
		c.WriteBulk("# Persistence\r\naof_enabled:0\r\n")
	default:
		return false
	}
	return true
}

// newID has the form of Redis' own: 40 hexadecimal digits.
func newID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}
