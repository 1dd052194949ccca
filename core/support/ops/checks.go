package ops

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Check is one thing that a program looks at to say how it is: nil, or the reason why not, for people.
type Check func(ctx context.Context) error

// checkTimeout bounds one check: a probe usually waits no longer than a few seconds, and an answer that is not there
// by then is a "no".
const checkTimeout = 2 * time.Second

// Checks are the named checks of a program; safe for concurrent use.
type Checks struct {
	mu    sync.Mutex
	named []namedCheck
	since map[string]time.Time // since when a check has not been well, as far as anybody asked
}

type namedCheck struct {
	name     string
	check    Check
	liveness bool
}

// Add puts a check under a name. Every check counts for /readyz; with liveness also for /livez, whose failure means
// that the process should be started anew, so only what a new start would heal belongs there.
func (c *Checks) Add(name string, check func(ctx context.Context) error, liveness bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.named = append(c.named, namedCheck{name: name, check: check, liveness: liveness})
}

// Result is what one check said.
type Result struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Degraded bool   `json:"degraded,omitempty"` // out of reach, and the program goes on without it; see DegradedError
	Reason   string `json:"reason,omitempty"`
	Since    string `json:"since,omitempty"` // when it was first seen so, RFC 3339; empty: all is well
}

// Run asks the checks (those of liveness only, or all) at the same time and returns their answers by name.
func (c *Checks) Run(ctx context.Context, livenessOnly bool) (results []Result, ok bool) {
	c.mu.Lock()
	asked := slices.Clone(c.named)
	c.mu.Unlock()
	asked = slices.DeleteFunc(asked, func(n namedCheck) bool { return livenessOnly && !n.liveness })

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results = make([]Result, len(asked))
	var wg sync.WaitGroup
	for i, n := range asked {
		wg.Go(func() {
			results[i] = resultOf(n.name, answer(ctx, n.check))
		})
	}
	wg.Wait()
	c.note(results)
	slices.SortFunc(results, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	return results, !slices.ContainsFunc(results, func(r Result) bool { return !r.OK })
}

// note keeps since when a check has not been well.
func (c *Checks) note(results []Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since == nil {
		c.since = map[string]time.Time{}
	}
	for i, r := range results {
		if r.OK && !r.Degraded {
			delete(c.since, r.Name)
			continue
		}
		if c.since[r.Name].IsZero() {
			c.since[r.Name] = time.Now()
		}
		results[i].Since = c.since[r.Name].UTC().Format(time.RFC3339)
	}
}

// notWell is for how long a check has not been well; 0: it is.
func (c *Checks) notWell(name string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := c.since[name]; !since.IsZero() {
		return time.Since(since)
	}
	return 0
}

// answer gives up on a check that ignores its context, so that one that hangs is named and not waited for.
func answer(ctx context.Context, check Check) error {
	said := make(chan error, 1)
	go func() { said <- check(ctx) }()
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %v", checkTimeout)
	}
}
