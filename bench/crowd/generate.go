package crowd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/firstcome/firstcome/bench/loadgen"
)

// ready is what the generator says when it could begin.
const ready = "ready\n"

// Generate is the generator's process: see the package comment.
func Generate(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	text, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var p Plan
	if err = json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if p.Users < 1 || p.Users > MaxUsers {
		return fmt.Errorf("%d users: a crowd has 1 to %d", p.Users, MaxUsers)
	}
	claims, err := loadgen.NewClaims(p.Coupon, p.Secret, p.Users, p.Name)
	if err != nil {
		return err
	}
	if _, err = io.WriteString(out, ready); err != nil {
		return err
	}
	if _, err = lines.ReadBytes('\n'); err != nil {
		return errors.New("the harness has left")
	}
	o, err := p.send(ctx, claims)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(o)
}

func (p Plan) send(ctx context.Context, claims *loadgen.Claims) (Outcome, error) {
	ear := &ear{plan: p, seqs: make([]int64, p.Users)}
	before := processorTime()
	res, err := loadgen.Run(ctx, loadgen.Load{
		Targets: p.Targets, Connections: p.Connections, Requests: p.Users, Rate: p.Rate, For: p.For,
		Append: claims.Append, Answer: ear.hear,
	})
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{
		Seconds: res.Elapsed.Seconds(), PerSecond: res.PerSecond(), Answered: res.Answered(), Status: res.Status,
		Wrong: ear.wrong, FirstWrong: ear.first, Unknown: ear.unknown, Errors: res.Errors, Late: res.Late,
		Processor: (processorTime() - before).Seconds(),
	}
	if res.Err != nil {
		o.FirstError = res.Err.Error()
	}
	for _, q := range quantiles() {
		o.Latencies = append(o.Latencies, Quantile{q, float64(res.Quantile(q).Microseconds()) / 1000})
	}
	if p.Expect == Receipt {
		o.Seqs = ear.seqs
	}
	if p.Rate > 0 {
		o.Sent = res.Sent
	}
	return o, nil
}

// ear hears the answers.
type ear struct {
	plan Plan
	seqs []int64 // each user's own place, so that nobody waits for anybody

	mu      sync.Mutex
	wrong   int
	first   string
	unknown int
}

func (e *ear) hear(i, status int, body []byte) {
	right := status == e.plan.Expect.status()
	switch e.plan.Expect {
	case Receipt:
		e.seqs[i] = number(body, `"seq":`)
		right = right && e.seqs[i] > 0 && has(body, `"user_id":"`, e.plan.Name(i))
	case SoldOut:
		right = right && has(body, `"code":"`, "sold_out")
	case Any202:
	}
	if right {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if status == http.StatusServiceUnavailable && has(body, `"code":"`, "unavailable") {
		e.unknown++
	} else if e.wrong++; e.wrong == 1 {
		e.first = fmt.Sprintf("%d %s", status, body)
	}
}

// has says whether the text after the field's name is this one. The answers are of the product's own writer, without
// blanks: reading them with encoding/json would cost more than sending the request.
func has(body []byte, field, text string) bool {
	at := bytes.Index(body, []byte(field))
	if at < 0 {
		return false
	}
	rest, ok := bytes.CutPrefix(body[at+len(field):], []byte(text))
	return ok && len(rest) > 0 && rest[0] == '"'
}

// number is the integer after the field's name; 0: none.
func number(body []byte, field string) int64 {
	at := bytes.Index(body, []byte(field))
	if at < 0 {
		return 0
	}
	rest := body[at+len(field):]
	end := 0
	for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0 // never, for oneself
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
