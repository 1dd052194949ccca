// Package crowd is everybody who asks for one coupon: a process of its own, so that what asking costs can be told apart
// from what answering costs. The harness writes a Plan to its input; it signs all tokens, says that it is ready, waits for
// a line, sends the load and writes an Outcome.
package crowd

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Plan is what a crowd does. Each user asks once.
type Plan struct {
	Targets     []string      `json:"targets"` // host:port
	Connections int           `json:"connections"`
	Rate        float64       `json:"rate"`   // requests a second; 0: as fast as the answers come
	For         time.Duration `json:"for_ns"` // ends it earlier than the last user; 0: never
	Coupon      int64         `json:"coupon"`
	Secret      []byte        `json:"secret"` // of HS256
	Prefix      string        `json:"prefix"` // of the users' names
	Users       int           `json:"users"`  // at most MaxUsers
	Expect      Expect        `json:"expect"`
}

// MaxUsers bounds a crowd: its tokens take 150 MB then.
const MaxUsers = 1_000_000

// Name of the i-th user: the prefix and 8 hexadecimal digits. No two are the same, and their order is no order, as that of
// real users who come one after the other is none.
func (p Plan) Name(i int) string {
	x := uint32(i)
	x = (x ^ x>>16) * 0x85ebca6b
	x = (x ^ x>>13) * 0xc2b2ae35
	x ^= x >> 16
	return p.Prefix + string(hex.AppendEncode(nil, binary.BigEndian.AppendUint32(nil, x)))
}

// Expect is the only answer that is right.
type Expect string

// The answers that are expected.
const (
	Receipt Expect = "receipt"  // 202 with the user's own receipt
	SoldOut Expect = "sold out" // 409 sold_out
	Any202  Expect = "202"      // from a handler that looks at nothing
)

// Outcome is what came back.
type Outcome struct {
	Seconds    float64    `json:"seconds"`
	PerSecond  float64    `json:"per_second"`
	Answered   int        `json:"answered"`
	Status     Statuses   `json:"status"`
	Wrong      int        `json:"wrong"` // answers that are not what was expected
	FirstWrong string     `json:"first_wrong,omitempty"`
	Unknown    int        `json:"unknown"` // answers "not known at the moment" (503): not wrong, and no measurement either
	Errors     int        `json:"errors"`  // requests without an answer
	FirstError string     `json:"first_error,omitempty"`
	Late       int        `json:"late"` // of an open loop: sent more than 5 ms after they were due
	Latencies  []Quantile `json:"latencies"`
	Processor  float64    `json:"processor_seconds"` // of the generator while it sent

	Seqs []int64  `json:"seqs,omitempty"` // the number on each user's receipt; 0: none
	Sent []uint32 `json:"sent,omitempty"` // of an open loop: when each was sent, in microseconds from the beginning
}

// Statuses counts answers by their HTTP status.
type Statuses map[int]int

// Quantile is one latency.
type Quantile struct {
	Q  float64 `json:"q"` // 50, 99, 99.9; 100 is the greatest
	MS float64 `json:"ms"`
}

// quantiles are those that are kept.
func quantiles() []float64 { return []float64{50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100} }

// Quantile is the latency at q in milliseconds.
func (o Outcome) Quantile(q float64) float64 {
	for _, l := range o.Latencies {
		if l.Q == q {
			return l.MS
		}
	}
	return 0
}

// ErrUnknown is that some users were told to ask again. The product may say so when it is not answered in time itself.
var ErrUnknown = errors.New("users were told that the outcome is not known")

// Right is an error where not every user heard what was expected; ErrUnknown where that is all.
func (o Outcome) Right() error {
	switch {
	case o.Wrong > 0 || o.Errors > 0:
		return fmt.Errorf("%d wrong answers (%s), %d requests without an answer (%s)", o.Wrong, o.FirstWrong, o.Errors, o.FirstError)
	case o.Unknown > 0:
		return fmt.Errorf("%d %w", o.Unknown, ErrUnknown)
	default:
		return nil
	}
}

func (e Expect) status() int {
	if e == SoldOut {
		return http.StatusConflict
	}
	return http.StatusAccepted
}
