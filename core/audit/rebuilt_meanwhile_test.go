package audit_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A gate is read in pieces, and may be lost and rebuilt between two of them. What was read of the one before says nothing:
// its holder had no record and is not in the gate that came after it, where somebody else has that number. It would
// happen in a second pass too, since what looks wrong in one alone is no finding anyway.
func TestAGateThatIsRebuiltWhileItIsReadGivesNoFindings(t *testing.T) {
	t.Parallel()
	onBooks(t, func(t *testing.T, w *world) {
		if w.cfg.Redis.Mode == "cluster" {
			t.Skip("a cluster's client finds the nodes by itself, past the way on which the reading is held up")
		}
		for name, event := range map[string]bool{"a coupon": false, "an event": true} {
			t.Run(name, func(t *testing.T) {
				w.empty(t)
				c := w.coupon(1, 0, nil, 2)
				if event {
					c = w.inEvent(2)
				}
				w.write()
				gone, late := w.place(c, "gone", 1), place{}
				w.holder(c, gone)
				cfg := w.cfg
				defer func() { w.cfg = cfg }()
				times, suspected := 0, ""
				w.cfg.Progress = func(said string) {
					if strings.Contains(said, "looked at again") {
						suspected = said
					}
				}
				w.cfg.Redis.Addrs = []string{before(t, cfg.Redis.Addrs[0], "zscan", "fc:{"+c.tag()+"}", func() {
					if times++; times%2 == 0 { // the reading that counts has passed the holders
						w.holder(c, gone)
						return
					}
					w.loses(c, gone)
					w.rebuiltAs(c, c.epoch+1)
					if late.user == "" {
						c.lastSeq--
						late = w.place(c, "late", 1)
						w.holder(c, late)
						w.record(c, late, c.epoch)
						w.row(c, late)
						w.consume()
					}
				})}
				r := w.verify()
				require.Empty(t, found(r), "%+v", r.Findings)
				require.Empty(t, suspected)
				require.Equal(t, 2, times, "the gate was read once more")
				require.True(t, r.Clean)
			})
		}
	})
}

// A coupon of the event is published and claimed after the books' list of coupons was read: its holders are members whose
// places are not looked at.
func TestACouponThatJoinsWhileTheGateIsReadGivesNoFindings(t *testing.T) {
	t.Parallel()
	onBooks(t, func(t *testing.T, w *world) {
		if w.cfg.Redis.Mode == "cluster" {
			t.Skip("a cluster's client finds the nodes by itself, past the way on which the reading is held up")
		}
		w.empty(t)
		c := w.inEvent(2)
		w.write()
		cfg := w.cfg
		defer func() { w.cfg = cfg }()
		var joined *coupon
		suspected := ""
		w.cfg.Progress = func(said string) {
			if strings.Contains(said, "looked at again") {
				suspected = said
			}
		}
		w.cfg.Redis.Addrs = []string{before(t, cfg.Redis.Addrs[0], "eval", "fc:{"+c.tag()+"}", func() {
			if joined == nil {
				joined = w.coupon(1, 0, c, 3)
				w.writeOne(joined)
				w.consume()
			}
		})}
		r := w.verify()
		require.NotNil(t, joined)
		require.Empty(t, found(r), "%+v", r.Findings)
		require.Empty(t, suspected)
		require.True(t, r.Clean)
	})
}

// loses takes a holder out of the gate, as a rebuild does that finds no record.
func (w *world) loses(c *coupon, p place) {
	w.t.Helper()
	require.NoError(w.t, w.redis.HDel(w.ctx(), c.key("holders"), c.field(p)).Err())
	c.admitted--
	w.hset(c.key("coupon"), "admitted", c.admitted)
	if c.event != 0 {
		require.NoError(w.t, w.redis.SRem(w.ctx(), "fc:{"+c.tag()+"}:members", p.user).Err())
		delete(c.members, p.user)
		w.hset(c.gate(), "members_n", len(c.members))
	}
}

// rebuiltAs is a rebuild of that epoch, with a barrier at the log's present ends.
func (w *world) rebuiltAs(c *coupon, epoch int64) {
	w.t.Helper()
	c.epoch = epoch
	w.exec("UPDATE gates SET epoch = ? WHERE tag = ?", epoch, c.tag())
	w.hset(c.gate(), "epoch", epoch)
	for p := range int32(partitions) {
		w.exec("INSERT INTO gate_barriers (tag, epoch, partition_no, noted_end) VALUES (?, ?, ?, ?)", c.tag(), epoch, p, w.end(p))
	}
}

// before is the address of a way to a server, on which do is called before each request with both words gets there.
func before(t *testing.T, server, word, other string, do func()) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server)
			if !assert.NoError(t, err) {
				return
			}
			all.Go(func() { _, _ = io.Copy(from, to); _ = from.Close() }) // ends with either side
			all.Go(func() {
				defer func() { _ = to.Close() }()
				buffer := make([]byte, 64<<10) // a request comes whole
				for {
					n, err := from.Read(buffer)
					if err != nil {
						return
					}
					if asked := bytes.ToLower(buffer[:n]); bytes.Contains(asked, []byte(word)) && bytes.Contains(asked, []byte(other)) {
						do()
					}
					if _, err = to.Write(buffer[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { assert.NoError(t, l.Close()); all.Wait() })
	return l.Addr().String()
}
