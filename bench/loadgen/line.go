package loadgen

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// line is one connection and the goroutine that uses it.
type line struct {
	target string
	reader *bufio.Reader
	out    []byte
	timer  *time.Timer
	until  time.Time // the connection's deadline

	errors, late int
	err          error

	mu   sync.Mutex // held to write conn, and by abort, which comes from another goroutine
	conn net.Conn   // nil: none
}

// answerSize bounds an answer's head and its body.
const answerSize = 8 << 10

func newLine(target string) *line {
	return &line{target: target, reader: bufio.NewReaderSize(nil, answerSize), timer: time.NewTimer(0)}
}

const (
	// connectWithin bounds how long a target may be away: a process that was killed needs some seconds to be there again.
	connectWithin = 30 * time.Second
	redialAfter   = 50 * time.Millisecond
)

// connect sees to it that there is a connection.
func (l *line) connect(ctx context.Context) error {
	if l.conn != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: connectWithin}
	for began := time.Now(); ; {
		conn, err := dialer.DialContext(ctx, "tcp", l.target)
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if ctx.Err() != nil {
				_ = conn.Close() // nothing was sent on it
				return context.Cause(ctx)
			}
			l.conn, l.until = conn, time.Time{}
			l.reader.Reset(conn)
			return nil
		}
		if time.Since(began) > connectWithin {
			return fmt.Errorf("loadgen: %s is not there: %w", l.target, err)
		}
		if err := l.wait(ctx, redialAfter); err != nil {
			return err
		}
	}
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close() // whatever was wrong with it was told by a read or a write
		l.conn = nil
	}
}

// abort ends whatever is waited for when the load is given up.
func (l *line) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close() // its goroutine reports what it was doing
	}
}

func (l *line) wait(ctx context.Context, d time.Duration) error {
	l.timer.Reset(d)
	select {
	case <-l.timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// work sends requests until there are no more. A connection that is gone is made again before a request is taken for it,
// so that a target that is away costs only the requests that were on their way to it.
func (l *line) work(ctx context.Context, r *run) error {
	for {
		if err := l.connect(ctx); err != nil {
			return l.unlessOver(r, err)
		}
		i, ok := r.take()
		if !ok {
			return nil
		}
		sent := time.Since(r.began)
		due := sent
		if r.Rate > 0 {
			due = r.due(i)
			if sent < due {
				if err := l.wait(ctx, due-sent); err != nil {
					return err
				}
				sent = time.Since(r.began)
			}
			if sent-due > lateAfter {
				l.late++
			}
		}
		r.sent[i] = uint32(sent.Microseconds())
		status, body, err := l.exchange(r, i, sent)
		if err != nil {
			l.errors++
			l.err = err
			l.close()
			continue
		}
		r.took[i] = uint32((time.Since(r.began) - due).Microseconds())
		r.status[i] = uint16(status)
		if r.Answer != nil {
			r.Answer(i, status, body)
		}
	}
}

// unlessOver is err, unless there is nothing left to send: then nobody needs the connection that could not be made.
func (l *line) unlessOver(r *run, err error) error {
	if int(r.next.Load()) >= r.Requests {
		return nil
	}
	return err
}

// exchange sends the i-th request and reads its answer.
func (l *line) exchange(r *run, i int, sent time.Duration) (status int, body []byte, err error) {
	// Setting a deadline costs a fifth of a microsecond: once a second is enough to notice an answer that does not come.
	if now := r.began.Add(sent); l.until.Sub(now) < answerWithin {
		l.until = now.Add(answerWithin + time.Second)
		if err = l.conn.SetDeadline(l.until); err != nil {
			return 0, nil, err
		}
	}
	l.out = r.Append(l.out[:0], i)
	if _, err = l.conn.Write(l.out); err != nil {
		return 0, nil, err
	}
	return readAnswer(l.reader)
}
