package reconcile

import (
	"fmt"
	"strings"
	"time"
)

// Outcome is what became of one tag in a rebuild.
type Outcome string

// The outcomes.
const (
	Opened    Outcome = "opened"
	Overtaken Outcome = "overtaken" // a newer epoch took over: whoever took it brings the gate back
	Leased    Outcome = "leased"    // another one is at it by its lease; or the tag is not on sale
	Failed    Outcome = "failed"    // Err says why; the gate stays shut until somebody starts over
)

// TagReport is what became of one tag.
type TagReport struct {
	Tag     string
	Epoch   int64 // of this attempt; 0: none was taken
	Outcome Outcome
	Err     error // failed and overtaken: at which step, and why
	Coupons int
	Rows    int64 // holders from rows
	Tail    int64 // holders from the journal that no row had yet
}

// Report is what became of the tags of a rebuild, in the order in which they were asked for.
type Report struct {
	Tags []TagReport
	Took time.Duration
}

// Count is how many tags ended that way.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, t := range r.Tags {
		if t.Outcome == o {
			n++
		}
	}
	return n
}

// Holders is how many places the opened gates hold.
func (r Report) Holders() int64 {
	var n int64
	for _, t := range r.Tags {
		if t.Outcome == Opened {
			n += t.Rows + t.Tail
		}
	}
	return n
}

// String is one line for people: how many of which outcome, and why the first failed one did.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d opened with %d holders", r.Count(Opened), r.Holders())
	for _, o := range []Outcome{Overtaken, Leased, Failed} {
		if n := r.Count(o); n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, o)
		}
	}
	fmt.Fprintf(&b, " in %s", r.Took.Round(time.Millisecond))
	for _, t := range r.Tags {
		if t.Outcome == Failed {
			fmt.Fprintf(&b, "; %s: %v", t.Tag, t.Err)
			break
		}
	}
	return b.String()
}
