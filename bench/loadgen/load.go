// Package loadgen sends ready-made HTTP/1.1 requests over a fixed number of connections and keeps every latency. It is
// lean, since it shares the processors with what it measures: one goroutine and one write a request, and answers read
// without allocations.
//
// In a closed loop each connection sends its next request when it has the answer to the last: that finds the ceiling of a
// server, and its latencies are those under saturation. In an open loop requests are due at a constant rate, whatever the
// server does, and a latency counts from when the request was due: a server that stalls for a second delays all who came
// in that second, and this is seen.
package loadgen

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Load is what is sent.
type Load struct {
	// Targets are host:port; the connections go to them in turn.
	Targets     []string
	Connections int
	// Requests is how many are sent at most (at most MaxRequests). The generator keeps 14 bytes for each.
	Requests int
	// Rate is how many requests are due in a second, evenly, over all connections; 0 is a closed loop. Any free connection
	// takes the next one. Where none is free it is sent late, and the schedule stays as it is.
	Rate float64
	// For ends a load earlier than Requests; 0 is never.
	For time.Duration
	// Append appends the bytes of the i-th request to buf. It is called within the measured time, from many goroutines.
	Append func(buf []byte, i int) []byte
	// Answer, if it is set, sees the i-th answer, from many goroutines; body is only good until it returns.
	Answer func(i, status int, body []byte)
}

// MaxRequests bounds a load.
const MaxRequests = 10_000_000

const (
	// answerWithin is when a request that was not answered is an error, and its connection is given up.
	answerWithin = time.Minute
	// lateAfter is when a request of an open loop counts as sent late: later than timers are when both cores are busy.
	lateAfter = 5 * time.Millisecond
)

// Result is what came back.
type Result struct {
	Elapsed   time.Duration
	Status    map[int]int
	Errors    int   // requests that were sent and not answered as this generator understands it
	Err       error // one of them
	Late      int   // requests of an open loop that were sent more than 5 ms after they were due
	Latencies *hdrhistogram.Histogram
	// Sent is when each request was sent, in microseconds from the beginning.
	Sent []uint32
}

// Answered is how many requests have an answer.
func (r Result) Answered() (n int) {
	for _, of := range r.Status {
		n += of
	}
	return n
}

// PerSecond is the throughput over the whole load.
func (r Result) PerSecond() float64 { return float64(r.Answered()) / r.Elapsed.Seconds() }

// Quantile of the latencies, q from 0 to 100.
func (r Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latencies.ValueAtQuantile(q)) * time.Microsecond
}

// run is a load while it is sent. Each request has its own place in the slices, so that connections share one counter.
type run struct {
	Load
	began  time.Time
	next   atomic.Int64
	sent   []uint32 // microseconds from the beginning
	took   []uint32 // microseconds
	status []uint16 // 0: no answer
}

// Run connects, sends the load and waits for all answers. What goes wrong with a request is counted in the result; an
// error says that the load was not sent at all, or not to its end.
func Run(ctx context.Context, l Load) (Result, error) {
	if l.Connections < 1 || len(l.Targets) == 0 || l.Requests < 1 || l.Requests > MaxRequests {
		return Result{}, fmt.Errorf("loadgen: %d requests over %d connections to %v", l.Requests, l.Connections, l.Targets)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{Load: l, sent: make([]uint32, l.Requests), took: make([]uint32, l.Requests), status: make([]uint16, l.Requests)}
	lines := make([]*line, l.Connections)
	for i := range lines {
		lines[i] = newLine(l.Targets[i%len(l.Targets)])
		if err := lines[i].connect(ctx); err != nil {
			return Result{}, err
		}
		defer lines[i].close()
	}
	defer context.AfterFunc(ctx, func() {
		for _, line := range lines {
			line.abort()
		}
	})()
	var all sync.WaitGroup
	r.began = time.Now()
	for _, line := range lines {
		all.Go(func() {
			if err := line.work(ctx, r); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return r.result(lines), context.Cause(ctx)
}

func (r *run) result(lines []*line) Result {
	res := Result{
		Elapsed: time.Since(r.began), Status: map[int]int{}, Sent: r.sent,
		Latencies: hdrhistogram.New(1, answerWithin.Microseconds(), 3),
	}
	for i, status := range r.status {
		if status == 0 {
			continue
		}
		res.Status[int(status)]++
		// A latency beyond the range is as long as the range: the request was late by a minute already when it was sent.
		_ = res.Latencies.RecordValue(min(max(int64(r.took[i]), 1), answerWithin.Microseconds()))
	}
	for _, line := range lines {
		res.Errors += line.errors
		res.Late += line.late
		if res.Err == nil {
			res.Err = line.err
		}
	}
	return res
}

// take is the next request to send; false when there are no more.
func (r *run) take() (int, bool) {
	i := int(r.next.Add(1)) - 1
	return i, i < r.Requests && (r.For == 0 || time.Since(r.began) < r.For)
}

// due is when the i-th request of an open loop is to be sent.
func (r *run) due(i int) time.Duration {
	return time.Duration(float64(i) / r.Rate * float64(time.Second))
}
