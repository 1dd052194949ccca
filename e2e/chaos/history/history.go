// Package history is what the clients of a chaos run saw: every question with its answer and the times of both, one JSON
// document a line, in the order of the answers. It is all that the checker gets to know.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// The questions.
const (
	Claim   = "claim"   // POST …/issues
	Mine    = "mine"    // GET …/issues/me
	Look    = "look"    // GET /v1/coupons/{id}
	Publish = "publish" // POST /v1/admin/coupons
	Change  = "change"  // PATCH /v1/admin/coupons/{id}
)

// Unlimited is a Terms.Total without a cap.
const Unlimited = int64(1) << 60

// Exchange is one question and its answer.
type Exchange struct {
	What   string    `json:"what"`
	API    int       `json:"api"`
	From   time.Time `json:"from"`           // just before the question was sent
	To     time.Time `json:"to"`             // when the answer, or its absence, was known; never falls from line to line
	Rest   bool      `json:"rest,omitempty"` // asked after everything had come to rest
	Coupon int64     `json:"coupon,omitempty"`
	User   string    `json:"user,omitempty"`
	Key    string    `json:"key,omitempty"` // Idempotency-Key

	Status int    `json:"status"`         // of HTTP; 0: no answer came
	Err    string `json:"err,omitempty"`  // why none came
	Code   string `json:"code,omitempty"` // of a refusal

	// Of a receipt, and of "mine".
	Nth        int       `json:"nth,omitempty"`
	Seq        int64     `json:"seq,omitempty"`
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	Issue      string    `json:"issue,omitempty"` // status of "mine"

	Remaining *int64 `json:"remaining,omitempty"` // of "look"; nil: unlimited
	Terms     *Terms `json:"terms,omitempty"`     // of "publish" and "change": what was asked for
}

// Terms are what an admin asked for; what is not set stays as it was.
type Terms struct {
	Total    *int64     `json:"total,omitempty"` // Unlimited: none
	State    string     `json:"state,omitempty"`
	OpensAt  *time.Time `json:"opens_at,omitempty"`
	ClosesAt *time.Time `json:"closes_at,omitempty"`
	Limit    int        `json:"limit,omitempty"` // per user; "publish" only
	Event    int64      `json:"event,omitempty"` // "publish" only
}

// Promised says whether the answer promises a coupon.
func (e Exchange) Promised() bool { return e.What == Claim && (e.Status == 200 || e.Status == 202) }

// Definite says whether the answer tells the outcome. No answer, 5xx and 429 say: ask again.
func (e Exchange) Definite() bool { return e.Status != 0 && e.Status < 500 && e.Status != 429 }

// Writer appends to a history file. It may be used by several goroutines.
type Writer struct {
	mu    sync.Mutex
	file  *os.File
	out   *bufio.Writer
	lines int64
	err   error // the first one; the history is worth nothing after it
}

// Create starts a history file.
func Create(path string) (*Writer, error) {
	f, err := os.Create(path) //nolint:gosec // a file in the run's own folder
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Writer{file: f, out: bufio.NewWriterSize(f, 1<<16)}, nil
}

// Write stamps the exchange's end and appends it. Stamping under the lock makes the order of lines that of the ends.
func (w *Writer) Write(e Exchange) Exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.To = time.Now()
	line, err := json.Marshal(e)
	if err == nil {
		_, err = w.out.Write(append(line, '\n'))
	}
	if err != nil && w.err == nil {
		w.err = err
	}
	w.lines++
	return e
}

// Lines is how many exchanges were written.
func (w *Writer) Lines() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines
}

// Flush brings everything written so far into the file.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.out.Flush())
}

// Close ends the file. Its error says that the history is not complete.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.out.Flush(), w.file.Close())
}

// Read calls see for each exchange of a history file in its order.
func Read(path string, see func(Exchange)) error {
	f, err := os.Open(path) //nolint:gosec // the path is the caller's
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	d := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
	for n := 1; ; n++ {
		var e Exchange
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("history, line %d: %w", n, err)
		}
		see(e)
	}
}
