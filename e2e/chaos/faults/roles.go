package faults

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
)

func roleKinds() []Kind {
	apis, consumers, batches := []string{"api-1", "api-2"}, []string{"consumer-1", "consumer-2"}, []string{"batch-1", "batch-2"}
	killed := func(e Env, s schedule.Step) Fault {
		return &roleEnds{role: e.World.Role(s.Target), sig: syscall.SIGKILL}
	}
	ended := func(e Env, s schedule.Step) Fault {
		return &roleEnds{role: e.World.Role(s.Target), sig: syscall.SIGTERM}
	}
	stopped := func(e Env, s schedule.Step) Fault { return &roleStops{role: e.World.Role(s.Target)} }
	return []Kind{
		{choice("kill api", 2, apis...), claims, alone, killed},
		{seconds(choice("stop api", 1, apis...), 1, 8), claims, alone, stopped},
		{choice("restart api", 1, apis...), claims, alone, ended},
		{choice("kill consumer", 2, consumers...), rows, alone, killed},
		{seconds(choice("stop consumer", 1, consumers...), 1, 12), rows, alone, stopped},
		{choice("restart consumer", 1, consumers...), rows, alone, ended},
		{choice("kill batch", 1, batches...), ready, alone, killed},
		{seconds(choice("stop batch", 1, batches...), 1, 12), ready, alone, stopped},
		{choice("restart batch", 1, batches...), ready, alone, ended},
		{seconds(choice("one consumer more", 1, "consumer-3"), 3, 8), rows, alone, func(e Env, _ schedule.Step) Fault {
			return &consumerJoins{world: e.World}
		}},
	}
}

// roleEnds ends a process, by SIGKILL as a crash does, by SIGTERM as an operator does. The supervisor starts it again.
type roleEnds struct {
	role   *world.Role
	sig    syscall.Signal
	pid    int
	starts int
	took   time.Duration
}

func (f *roleEnds) Inject(ctx context.Context) (err error) {
	if f.pid, err = f.role.Pid(); err != nil {
		return err
	}
	f.starts = f.role.Starts()
	began := time.Now()
	if err = f.role.Signal(f.pid, f.sig); err != nil {
		return err
	}
	// SIGTERM: what was taken is answered, at most 20 s. Longer is a broken promise of the shutdown.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = f.role.Await(ctx, f.pid)
	f.took = time.Since(began)
	return err
}

func (f *roleEnds) Evidence(context.Context) (string, error) {
	return fmt.Sprintf("pid %d had ended %.1f s after %v", f.pid, f.took.Seconds(), f.sig), nil
}

// Heal waits for the supervisor.
func (f *roleEnds) Heal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for f.pid != 0 && f.role.Starts() == f.starts {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("%s is not started again: %w", f.role.Name, err)
		}
	}
	return nil
}

// roleStops stops a process' clock.
type roleStops struct {
	role *world.Role
	pid  int
}

func (f *roleStops) Inject(context.Context) (err error) {
	if f.pid, err = f.role.Pid(); err != nil {
		return err
	}
	return f.role.Signal(f.pid, syscall.SIGSTOP)
}

func (f *roleStops) Evidence(context.Context) (string, error) {
	if state := world.State(f.pid); state != "T" {
		return "", fmt.Errorf("pid %d is in state %q: %w", f.pid, state, ErrNoEffect)
	}
	return fmt.Sprintf("pid %d was in state T to the end", f.pid), nil
}

func (f *roleStops) Heal(context.Context) error {
	if f.pid == 0 {
		return nil
	}
	if err := f.role.Signal(f.pid, syscall.SIGCONT); err != nil && !errors.Is(err, world.ErrNotRunning) {
		return err
	}
	return nil
}

// consumerJoins has one consumer more for a while, so that partitions move to it and back.
type consumerJoins struct {
	world   *world.World
	before  []string
	started bool
}

func (f *consumerJoins) Inject(ctx context.Context) (err error) {
	if f.before, err = f.world.Members(ctx); err != nil {
		return fmt.Errorf("look at the group: %w", err)
	}
	f.world.StartSpare()
	f.started = true
	return nil
}

// Evidence waits until the new one has partitions: a member joins within seconds, and gets its share after that.
func (f *consumerJoins) Evidence(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	known := map[string]bool{}
	for _, id := range f.before {
		known[id] = true
	}
	for {
		now, err := f.world.Members(ctx)
		for _, id := range now {
			if err == nil && !known[id] {
				return fmt.Sprintf("%d members with partitions before, %d now", len(f.before), len(now)), nil
			}
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			return "", fmt.Errorf("no new member has partitions (%w): %w", errors.Join(err), ErrNoEffect)
		}
	}
}

func (f *consumerJoins) Heal(context.Context) error {
	if f.started {
		f.world.StopSpare()
	}
	return nil
}
