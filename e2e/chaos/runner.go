package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/faults"
	"github.com/firstcome/firstcome/e2e/chaos/schedule"
)

const (
	// atOnce bounds the faults that are held at the same time.
	atOnce = 4
	// maxWaiting bounds those that wait because another one is held at the same part. The schedule goes on meanwhile.
	maxWaiting = 3
	// healWithin bounds the end of a fault: a Kafka that recovers its log on a busy machine is the slowest.
	healWithin = 5 * time.Minute
	// recoverWithin is how long one waits for the system to be over a fault, while others go on.
	recoverWithin = 90 * time.Second
)

// Outcome is what became of one step.
type Outcome struct {
	schedule.Step
	Effective bool
	Evidence  string // or why it took no effect
	Injected  time.Time
	Healed    time.Time
	Recovered time.Time // zero: not within recoverWithin
	Broken    string    // the harness could not end the fault
}

// runner injects the faults of a schedule at their times.
type runner struct {
	kinds map[string]faults.Kind
	env   faults.Env
	watch *watch
	log   func(format string, args ...any)

	mu                   sync.Mutex
	free                 *sync.Cond
	held                 map[string]bool
	begun                int // held or waiting
	holding              int
	effective, undecided int
	outcomes             []Outcome
	work                 sync.WaitGroup
}

func newRunner(kinds []faults.Kind, env faults.Env, w *watch, log func(string, ...any)) *runner {
	r := &runner{kinds: map[string]faults.Kind{}, env: env, watch: w, log: log, held: map[string]bool{}}
	for _, k := range kinds {
		r.kinds[k.Kind] = k
	}
	r.free = sync.NewCond(&r.mu)
	return r
}

// run takes the steps in their order, each at its time, or later if too much is going on then, until so many have taken
// effect. It returns when all are healed and nothing more is watched.
func (r *runner) run(ctx context.Context, steps []schedule.Step, wanted int) {
	began, slip := time.Now(), time.Duration(0)
	for _, s := range steps {
		if !r.wants(wanted) {
			break
		}
		timer := time.NewTimer(time.Until(began.Add(s.At + slip)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			r.work.Wait()
			return
		}
		waited := time.Now()
		r.begin()
		slip += time.Since(waited)
		r.work.Go(func() {
			kind := r.kinds[s.Kind]
			needs := kind.Needs(s.Target)
			r.acquire(needs)
			r.one(ctx, kind, s, needs)
		})
	}
	r.work.Wait()
}

// wants waits while as many faults as are wanted have taken effect or may still, and says whether more are needed.
func (r *runner) wants(wanted int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.effective < wanted && r.effective+r.undecided >= wanted {
		r.free.Wait()
	}
	if r.effective >= wanted {
		return false
	}
	r.undecided++
	return true
}

// decided notes whether a fault took effect.
func (r *runner) decided(effective bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.undecided--
	if effective {
		r.effective++
	}
	r.free.Broadcast()
}

// begin waits until not too many faults are under way: held, or waiting for another one that is at the same part.
func (r *runner) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.begun >= atOnce+maxWaiting {
		r.free.Wait()
	}
	r.begun++
}

func (r *runner) acquire(needs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.holding >= atOnce || slices.ContainsFunc(needs, func(n string) bool { return r.held[n] }) {
		r.free.Wait()
	}
	r.holding++
	for _, n := range needs {
		r.held[n] = true
	}
}

func (r *runner) release(needs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holding--
	r.begun--
	for _, n := range needs {
		delete(r.held, n)
	}
	r.free.Broadcast()
}

// one takes one fault from its beginning to the system's recovery.
func (r *runner) one(ctx context.Context, kind faults.Kind, s schedule.Step, needs []string) {
	o := Outcome{Step: s, Injected: time.Now()}
	fault := kind.Make(r.env, s)
	err := r.inject(ctx, fault, s, &o)
	// What was begun is ended, also when the run is over.
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healWithin)
	healErr := fault.Heal(healing)
	cancel()
	o.Healed = time.Now()
	if healErr != nil {
		o.Broken = healErr.Error()
	}
	r.release(needs)
	o.Effective = err == nil
	r.decided(o.Effective)
	if err != nil {
		o.Evidence = err.Error()
	}
	if o.Effective && ctx.Err() == nil {
		o.Recovered = r.watch.recovered(ctx, kind.Recovery(s.Target), s, fault)
	}
	r.log("%s  %s", s, verdictOf(o))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, o)
}

func (r *runner) inject(ctx context.Context, fault faults.Fault, s schedule.Step, o *Outcome) (err error) {
	if err = fault.Inject(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(s.Hold)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	o.Evidence, err = fault.Evidence(ctx)
	return err
}

func verdictOf(o Outcome) string {
	switch {
	case o.Broken != "":
		return "NOT HEALED: " + o.Broken
	case !o.Effective:
		return "no effect: " + o.Evidence
	case o.Recovered.IsZero():
		return "not recovered in time; " + o.Evidence
	default:
		return fmt.Sprintf("recovered %.2f s after its end; %s", o.Recovered.Sub(o.Healed).Seconds(), o.Evidence)
	}
}

// done is how many faults are over, and how many took effect.
func (r *runner) done() (over, effective int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.outcomes), r.effective
}

var errStopped = errors.New("stopped before its end")
