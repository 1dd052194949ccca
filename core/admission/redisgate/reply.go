package redisgate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// errGarbled: the server answered something that no script of ours answers. The outcome is unknown.
var errGarbled = errors.New("garbled reply")

// settle turns the first element of a reply into an error, and leaves the rest to the caller.
func (c *call) settle() {
	if c.err != nil {
		c.err = fmt.Errorf("redisgate: %s %s: %w", c.script.name, c.tag, c.err)
		return
	}
	status, ok := c.reply[0].(string)
	detail := ""
	if len(c.reply) > 1 {
		detail = fmt.Sprint(c.reply[1])
	}
	switch {
	case !ok:
		c.fail(errGarbled)
	case status == "ok":
		c.reply = c.reply[1:]
	case status == "unsound":
		c.reply, c.err = nil, &coupon.UnsoundError{Tag: c.tag, Why: coupon.UnsoundWhy(detail)}
	default:
		c.fail(fmt.Errorf("%w (%s)", statusError(status), detail))
	}
}

func (c *call) fail(err error) {
	c.reply, c.err = nil, fmt.Errorf("redisgate: %s %s: %w", c.script.name, c.tag, err)
}

// statusError is the definite "no" that a script answers with a word.
func statusError(status string) error {
	switch status {
	case "overtaken":
		return coupon.ErrOvertaken
	case "too_early":
		return coupon.ErrTooEarly
	case "below_issued":
		return coupon.ErrBelowIssued
	case "superseded":
		return coupon.ErrSuperseded
	default:
		return errGarbled
	}
}

// ints reads the first n elements of the reply as numbers.
func (c *call) ints(n int) ([]int64, bool) {
	if len(c.reply) < n {
		return nil, false
	}
	out := make([]int64, n)
	for i := range out {
		v, ok := c.reply[i].(int64)
		if !ok {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

// text reads the i-th element of the reply as a text.
func (c *call) text(i int) (string, bool) {
	if i >= len(c.reply) {
		return "", false
	}
	s, ok := c.reply[i].(string)
	return s, ok
}

// instant reads the i-th element of the reply as an instant that came as a text, since it may have more than 53 bits.
func (c *call) instant(i int) (time.Time, bool) {
	s, ok := c.text(i)
	us, err := strconv.ParseInt(s, 10, 64)
	return micros(us), ok && err == nil
}

// held is a holder's value: [x]seq:us[:key].
type held struct {
	seq     int64
	at      time.Time
	key     string
	revoked bool
}

func parseHeld(s string) (held, bool) {
	var h held
	s, h.revoked = strings.CutPrefix(s, revokedMark)
	seq, rest, ok := strings.Cut(s, ":")
	if !ok {
		return h, false
	}
	us, key, _ := strings.Cut(rest, ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || n < 1 {
		return h, false
	}
	at, err := strconv.ParseInt(us, 10, 64)
	if err != nil {
		return h, false
	}
	h.seq, h.at, h.key = n, micros(at), key
	return h, true
}

// revokedMark stands before the value of a place that was given back (rule 28).
const revokedMark = "x"

func formatHeld(p coupon.Place) string {
	b := make([]byte, 0, 64)
	if p.Revoked {
		b = append(b, revokedMark...)
	}
	b = strconv.AppendInt(b, p.Seq, 10)
	b = append(b, ':')
	b = strconv.AppendInt(b, p.AcceptedAt.UnixMicro(), 10)
	if p.Key != "" {
		b = append(append(b, ':'), p.Key...)
	}
	return string(b)
}

func micros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// totalText is a cap as the scripts take it: empty is unlimited.
func totalText(total *int64) string {
	if total == nil {
		return ""
	}
	return decimal(*total)
}
