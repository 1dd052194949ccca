package claimtest

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// judgeWithin bounds the search for an order. It takes milliseconds for nearly all histories and would never end for some:
// a question without an answer may stand anywhere after it was asked, and forty of them have too many orders.
const judgeWithin = 30 * time.Second

// never is the answer's time of a question that may be done at any time later.
const never = math.MaxInt64

// Recorder writes down a history. Its methods may be called at the same time.
type Recorder struct {
	// M is how much later than its change what is wider holds. Early and Late widen the interval in which it begins to
	// hold, for clocks that differ and answers that promise less.
	M, Early, Late time.Duration
	// Replayed says that failed events are sent again on behalf of users, so that an unknown claim may be done twice.
	Replayed bool

	mu    sync.Mutex
	began time.Time
	ops   []porcupine.Operation
}

// NewRecorder begins a history.
func NewRecorder(m time.Duration) *Recorder { return &Recorder{M: m, began: time.Now()} }

// Ask asks and writes down question, answer and times. client is who asks, one question at a time.
func (r *Recorder) Ask(client int, in Input, ask func() Output) Output {
	call := time.Since(r.began)
	out := ask()
	answered := time.Since(r.began)
	r.add(client, in, out, call, answered)
	return out
}

func (r *Recorder) add(client int, in Input, out Output, call, answered time.Duration) {
	op := porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(call), Return: int64(answered)}
	r.mu.Lock()
	defer r.mu.Unlock()
	lasting := out.Word == Unknown && (in.Kind == Claim || in.Kind == Change)
	if lasting {
		op.Return = never
	}
	r.ops = append(r.ops, op)
	if lasting && in.Kind == Claim && r.Replayed {
		r.ops = append(r.ops, op)
	}
	if in.Kind == Change && (out.Word == Done || out.Word == Unknown) {
		holds := op
		holds.Input = Input{Kind: Holds, Coupon: in.Coupon, Revision: in.Revision}
		holds.Output = Output{Word: Done}
		holds.Call += int64(r.M - r.Early)
		if !lasting {
			holds.Return += int64(r.M + r.Late)
		}
		r.ops = append(r.ops, holds)
	}
}

// History is what was written down so far, in the order of the questions.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := slices.Clone(r.ops)
	slices.SortStableFunc(h, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	return h
}

// History is questions and answers with their times.
type History []porcupine.Operation

// Linearizable says whether there is an order that explains the history; an error when that was not found out in time.
func (m Model) Linearizable(h History) (bool, error) {
	h = h.needed()
	switch porcupine.CheckOperationsTimeout(m.porcupine(), h, judgeWithin) {
	case porcupine.Ok:
		return true, nil
	case porcupine.Illegal:
		return false, nil
	default:
		return false, fmt.Errorf("no verdict on a history of %d operations within %v", len(h), judgeWithin)
	}
}

// Judge fails the test if nothing explains the history: it prints the smallest part of it that nothing explains, and
// leaves a picture of it among the test's artifacts (go test -artifacts keeps them). It returns whether that was found out;
// a history without a verdict proves nothing, and whoever plays it has to play others.
func (m Model) Judge(t testing.TB, h History) (judged bool) {
	t.Helper()
	ok, err := m.Linearizable(h)
	if err != nil {
		t.Logf("%v:\n%s", err, h)
		return false
	}
	if ok {
		return true
	}
	small := m.smallest(h)
	path := filepath.Join(t.ArtifactDir(), strings.NewReplacer("/", "_", " ", "_").Replace(t.Name())+".html")
	_, info := porcupine.CheckOperationsVerbose(m.porcupine(), small, judgeWithin)
	if err := porcupine.VisualizePath(m.porcupine(), info, path); err != nil {
		t.Errorf("the picture could not be written: %v", err)
	}
	t.Fatalf("no order of these %d operations (of %d) explains the answers; a picture is in %s\n%s", len(small), len(h), path, small)
	return true
}

// smallest makes a history that nothing explains shorter: first it ends earlier, then it leaves out questions that change
// nothing, as long as still nothing explains it. Both keep an explanation if there is one, so what is left is a fault too.
func (m Model) smallest(h History) History {
	explained := func(h History) bool {
		ok, err := m.Linearizable(h)
		return ok || err != nil
	}
	ends := make([]int64, 0, len(h))
	for _, op := range h {
		ends = append(ends, op.Return)
	}
	slices.Sort(ends)
	for _, end := range slices.Compact(ends) {
		if short := h.until(end); !explained(short) {
			h = short
			break
		}
	}
	for i := len(h) - 1; i >= 0; i-- {
		if without := slices.Delete(slices.Clone(h), i, i+1); idle(h[i]) && !explained(without) {
			h = without
		}
	}
	return h
}

// until is the history as it was known at an instant: what was not answered then may be done later.
func (h History) until(end int64) History {
	var short History
	for _, op := range h {
		in, _ := op.Input.(Input)
		switch {
		case op.Call > end:
			continue
		case op.Return > end && op.Return != never:
			if in.Kind == Claim || in.Kind == Change {
				op.Output = Output{Word: Unknown}
			} else if in.Kind == Me || in.Kind == Read {
				continue
			}
			op.Return = never
		}
		short = append(short, op)
	}
	return short
}

// needed leaves out unknown claims that an earlier unknown claim of the same user can do in their place. A claim has
// something to do once, and once more after each loss of the gate: of each user's, so many of the earliest are kept.
func (h History) needed() History {
	most := 1
	for _, op := range h {
		if in, _ := op.Input.(Input); in.Kind == Lost {
			most++
		}
	}
	type claimant struct{ coupon, user int }
	kept := map[claimant]int{}
	return slices.DeleteFunc(slices.Clone(h), func(op porcupine.Operation) bool {
		in, _ := op.Input.(Input)
		if op.Return != never || in.Kind != Claim {
			return false
		}
		who := claimant{in.Coupon, in.User}
		kept[who]++
		return kept[who] > most
	})
}

// idle says whether whatever explains a history also explains it without this operation: the counter is the same after it.
// An unknown claim is none of these, since what it may have done explains other answers.
func idle(op porcupine.Operation) bool {
	in, _ := op.Input.(Input)
	out, _ := op.Output.(Output)
	switch in.Kind {
	case Read:
		return true
	case Claim, Me:
		return out.Seq == 0 && out.Word != Unknown
	case Change:
		return out.Word == BelowIssued || out.Word == Superseded
	default:
		return false
	}
}

// String is a line for each operation.
func (h History) String() string {
	var b strings.Builder
	for _, op := range h {
		end := "       ever"
		if op.Return != never {
			end = fmt.Sprintf("%9.3fms", float64(op.Return)/1e6)
		}
		fmt.Fprintf(&b, "client %2d  %9.3fms … %s  %v → %v\n", op.ClientId, float64(op.Call)/1e6, end, op.Input, op.Output)
	}
	return b.String()
}

// String is short, for people.
func (in Input) String() string {
	switch in.Kind {
	case Claim, Me:
		return fmt.Sprintf("%s(coupon %d, user %d)", in.Kind, in.Coupon, in.User)
	case Change:
		return fmt.Sprintf("change %d(coupon %d to %d places, %s)", in.Revision, in.Coupon, in.To.Cap, in.To.State)
	case Holds:
		return fmt.Sprintf("change %d holds", in.Revision)
	case Read:
		return fmt.Sprintf("read(coupon %d)", in.Coupon)
	case Lost:
		return "the gate is lost and rebuilt"
	default:
		return string(in.Kind)
	}
}

// String is short, for people.
func (out Output) String() string {
	switch {
	case out.Seq != 0:
		return fmt.Sprintf("number %d", out.Seq)
	case out.Left != 0 || out.Word == Open:
		return fmt.Sprintf("%s, %d left", out.Word, out.Left)
	default:
		return out.Word
	}
}
