// Package loadgen sends requests over a fixed number of connections, each with one request in flight (a closed loop),
// and keeps every latency. A closed loop finds the ceiling of a server; its latencies are those under saturation.
package loadgen

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Load is what is sent.
type Load struct {
	Requests    int
	Connections int
	// Make makes the i-th request. It is called from many goroutines and outside of the measured time.
	Make func(i int) (*http.Request, error)
	// Answer sees the i-th answer; body is only good until it returns.
	Answer func(i int, status int, body []byte)
}

// Result is what came back.
type Result struct {
	Elapsed   time.Duration
	Status    map[int]int
	Errors    int                     // requests without an answer
	Latencies *hdrhistogram.Histogram // in microseconds, up to a minute, three digits
}

// PerSecond is the throughput over the whole run.
func (r Result) PerSecond() float64 {
	answered := 0
	for _, n := range r.Status {
		answered += n
	}
	return float64(answered) / r.Elapsed.Seconds()
}

// Quantile of the latencies, q from 0 to 100.
func (r Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latencies.ValueAtQuantile(q)) * time.Microsecond
}

const longest = time.Minute

// Run sends the load and waits for all answers.
func Run(ctx context.Context, l Load) (Result, error) {
	requests := make([]*http.Request, l.Requests)
	for i := range requests {
		req, err := l.Make(i)
		if err != nil {
			return Result{}, err
		}
		requests[i] = req.WithContext(ctx)
	}
	client := &http.Client{Timeout: longest, Transport: &http.Transport{
		MaxIdleConns: l.Connections, MaxIdleConnsPerHost: l.Connections, MaxConnsPerHost: l.Connections,
	}}
	defer client.CloseIdleConnections()

	res := Result{Status: map[int]int{}, Latencies: newHistogram()}
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for range l.Connections {
		all.Go(func() {
			own := newHistogram()
			status, failed := map[int]int{}, 0
			buf := make([]byte, 4<<10)
			for {
				i := int(next.Add(1)) - 1
				if i >= l.Requests || ctx.Err() != nil {
					break
				}
				sent := time.Now()
				code, n, err := send(client, requests[i], buf)
				// A latency beyond the histogram's range is a failed request already: the client gave up.
				_ = own.RecordValue(min(time.Since(sent), longest).Microseconds())
				if err != nil {
					failed++
					continue
				}
				status[code]++
				if l.Answer != nil {
					l.Answer(i, code, buf[:n])
				}
			}
			mu.Lock()
			defer mu.Unlock()
			res.Latencies.Merge(own)
			res.Errors += failed
			for code, n := range status {
				res.Status[code] += n
			}
		})
	}
	all.Wait()
	res.Elapsed = time.Since(began)
	return res, ctx.Err()
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), 3)
}

// send reads the answer into buf, as far as it fits, and to its end, so that the connection is used again.
func send(client *http.Client, req *http.Request, buf []byte) (status, n int, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	n, err = io.ReadFull(resp.Body, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // io.ReadFull returns exactly these
		return resp.StatusCode, n, nil
	}
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	return resp.StatusCode, n, err
}
