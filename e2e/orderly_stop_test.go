package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/e2e/stack"
)

// addresses are where the clients of a rolling restart ask; they change while it goes on.
type addresses struct{ now atomic.Pointer[[]string] }

func (a *addresses) set(urls ...string) { a.now.Store(&urls) }

// patient settings: a slow machine is no failed request.
func patient() []string {
	return []string{
		"FIRSTCOME_ADMISSION_ANSWER_TIMEOUT=20s", "FIRSTCOME_HTTP_WRITE_TIMEOUT=40s", "FIRSTCOME_HTTP_READ_TIMEOUT=40s",
		"FIRSTCOME_HTTP_SHUTDOWN_TIMEOUT=30s", "FIRSTCOME_SWEEPER_AGE=20s",
	}
}

// rolling is a crowd that claims until it is stopped: each user once, with kept connections, elsewhere when nobody listens,
// and never again otherwise.
type rolling struct {
	s      *stack.Stack
	coupon int64
	at     addresses
	http   *http.Client

	next    atomic.Int64
	refused atomic.Int64
	kept    sync.Map // user → stack.Answer
	mu      sync.Mutex
	failed  []string
}

func newRolling(s *stack.Stack, coupon int64) *rolling {
	return &rolling{s: s, coupon: coupon, http: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second},
	}}
}

func (w *rolling) run(ctx context.Context) {
	for ctx.Err() == nil {
		n := w.next.Add(1)
		user := fmt.Sprintf("u-%d", n)
		a, err := w.claim(user, int(n))
		if err == nil && a.Accepted() {
			w.kept.Store(user, a)
			continue
		}
		w.mu.Lock()
		w.failed = append(w.failed, fmt.Sprintf("%s: %d %s %v", user, a.Status, a.Body, err))
		w.mu.Unlock()
	}
}

// claim asks one api after the other as long as they cannot be connected to.
func (w *rolling) claim(user string, first int) (stack.Answer, error) {
	var err error
	for i := range 100 {
		urls := *w.at.now.Load()
		var a stack.Answer
		if a, err = w.once(urls[(first+i)%len(urls)], user); !notConnected(err) {
			return a, err
		}
		w.refused.Add(1)
	}
	return stack.Answer{}, err
}

func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func (w *rolling) once(url, user string) (stack.Answer, error) {
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/v1/coupons/%d/issues", url, w.coupon), nil) //nolint:noctx // the client has a timeout
	if err != nil {
		return stack.Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+w.s.Token(user, false))
	resp, err := w.http.Do(req)
	if err != nil {
		return stack.Answer{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	return stack.Answer{Status: resp.StatusCode, Header: resp.Header, Body: text}, err
}

// Two apis and two consumers are replaced one after the other in the middle of a storm: nobody who was connected goes
// without an answer, every answer is a promise, every promise a row, and no consumer leaves its partitions waiting for a
// session to run out.
func TestARollingRestartFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Real, stack.Options{Env: patient()})
	const limit = 1_000_000
	w := newRolling(s, s.Coupon(t, map[string]any{"total_quantity": limit}))
	old := s.Procs[:4:4] // two apis, two consumers
	w.at.set(old[0].HTTP, old[1].HTTP)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var workers sync.WaitGroup
	for range 24 {
		workers.Go(func() { w.run(ctx) })
	}
	more := func(by int64) {
		from := w.next.Load()
		stack.Eventually(t, drainWithin, func() bool { return w.next.Load() > from+by }, "the storm goes on")
	}
	more(200)
	first := s.Launch(t, "api", nil)
	w.at.set(old[0].HTTP, old[1].HTTP, first.HTTP)
	stopped(t, old[0])
	more(200)
	w.at.set(old[1].HTTP, first.HTTP)
	second := s.Launch(t, "api", nil)
	w.at.set(old[1].HTTP, first.HTTP, second.HTTP)
	stopped(t, old[1])
	more(200)
	w.at.set(first.HTTP, second.HTTP)
	for _, consumer := range old[2:] {
		s.Launch(t, "consumer", nil)
		members := len(membersOf(t, s))
		stopped(t, consumer)
		left := time.Now()
		stack.Eventually(t, 5*time.Second, func() bool { return len(membersOf(t, s)) < members },
			"it has left the group: nobody waits for its session of 10 s")
		t.Logf("a consumer was out of the group %v after its end", time.Since(left).Round(time.Millisecond))
		more(100)
	}
	cancel()
	workers.Wait()
	w.http.CloseIdleConnections()
	require.Empty(t, w.failed)
	p := &promises{kept: map[string]stack.Receipt{}}
	w.kept.Range(func(user, a any) bool {
		p.kept[user.(string)] = a.(stack.Answer).Receipt(t)
		return true
	})
	s.APIs = []string{first.HTTP, second.HTTP}
	p.judge(t, s, w.coupon, limit)
	require.EqualValues(t, len(p.kept), s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", w.coupon))
	t.Logf("%d claims, all promised; %d times nobody listened", len(p.kept), w.refused.Load())
}

// stopped ends a process gently; it must say that all went well.
func stopped(t *testing.T, p *stack.Proc) {
	t.Helper()
	began := time.Now()
	p.Stop(t)
	require.Zero(t, p.Status(), "%s:\n%s", p.Role, p.Log())
	t.Logf("%s stopped in %v", p.Role, time.Since(began).Round(time.Millisecond))
}

func membersOf(t *testing.T, s *stack.Stack) []kadm.DescribedGroupMember {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(t.Context(), s.Group)
	require.NoError(t, err)
	return groups[s.Group].Members
}

// The whole embedded stack is stopped in the middle of a storm: each request is answered or was never taken.
func TestTheEmbeddedStackAnswersWhatItHasTaken(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Embedded, stack.Options{Env: patient()})
	const limit = 1_000_000
	w := newRolling(s, s.Coupon(t, map[string]any{"total_quantity": limit}))
	w.at.set(s.APIs[0])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var workers sync.WaitGroup
	for range 24 {
		workers.Go(func() {
			for ctx.Err() == nil {
				user := fmt.Sprintf("u-%d", w.next.Add(1))
				a, err := w.once(s.APIs[0], user)
				switch {
				case notConnected(err):
					return
				case err == nil && a.Accepted():
					w.kept.Store(user, a)
				default:
					w.mu.Lock()
					w.failed = append(w.failed, fmt.Sprintf("%s: %d %s %v", user, a.Status, a.Body, err))
					w.mu.Unlock()
				}
			}
		})
	}
	stack.Eventually(t, drainWithin, func() bool { return w.next.Load() > 500 }, "the storm has begun")
	stopped(t, s.Procs[0])
	workers.Wait()
	w.http.CloseIdleConnections()
	require.Empty(t, w.failed)
	s.Restart(t, true)
	p := &promises{kept: map[string]stack.Receipt{}}
	w.kept.Range(func(user, a any) bool {
		p.kept[user.(string)] = a.(stack.Answer).Receipt(t)
		return true
	})
	p.judge(t, s, w.coupon, limit)
}

// Who asks twice does not want to wait: the second signal ends the process at once.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Embedded, stack.Options{Env: []string{"FIRSTCOME_HTTP_DRAIN_DELAY=5m"}})
	p := s.Procs[0]
	p.Terminate(t)
	stack.Eventually(t, drainWithin, func() bool {
		resp, err := http.Get(p.Ops + "/readyz") //nolint:noctx // on loopback
		if err != nil {
			return false
		}
		defer resp.Body.Close() //nolint:errcheck // only the status counts
		return resp.StatusCode == http.StatusServiceUnavailable
	}, "/readyz says that it stops")
	s.Must(t, http.StatusOK, http.MethodGet, "/v1/coupons", "", nil) // and it goes on meanwhile
	p.Terminate(t)
	stack.Eventually(t, drainWithin, p.Ended, "the second signal ends it")
	require.Equal(t, 130, p.Status())
}
