package faults

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
	"github.com/firstcome/firstcome/e2e/servers"
)

func serverKinds() []Kind {
	var kinds []Kind
	for _, s := range []struct {
		name     string
		recovery func(string) Recovery
		weight   int
	}{{world.Kafka, claims, 1}, {world.Redis, claims, 2}, {world.MySQL, rows, 1}} {
		kinds = append(kinds,
			Kind{
				seconds(choice("kill "+s.name, s.weight, s.name), 0.1, 2), s.recovery, alone,
				func(e Env, s schedule.Step) Fault { return &serverKilled{world: e.World, name: s.Target} },
			},
			Kind{
				seconds(choice("stop "+s.name, s.weight, s.name), 0.8, 5), s.recovery, alone,
				func(e Env, s schedule.Step) Fault { return &serverStopped{world: e.World, name: s.Target} },
			})
	}
	return kinds
}

// serverKilled ends a server by SIGKILL and starts it again on its own data.
type serverKilled struct {
	world  *world.World
	name   string
	server *servers.Server
}

func (f *serverKilled) Inject(context.Context) error {
	f.server = f.world.Server(f.name)
	if !f.server.Running() {
		return fmt.Errorf("%s: %w", f.name, world.ErrNotRunning)
	}
	return f.server.Kill()
}

func (f *serverKilled) Evidence(context.Context) (string, error) {
	if f.server.Running() {
		return "", ErrNoEffect
	}
	return f.name + " was gone", nil
}

func (f *serverKilled) Heal(ctx context.Context) error {
	if f.server == nil || f.server.Running() {
		return nil
	}
	// A machine that is busy with other things may need longer than a start is given; nothing is lost by a second one.
	err := f.server.Start(ctx)
	if err != nil && !f.server.Running() {
		err = f.server.Start(ctx)
	}
	return err
}

// serverStopped stops a server's clock: connections stay, nobody answers.
type serverStopped struct {
	world  *world.World
	name   string
	server *servers.Server
}

func (f *serverStopped) Inject(context.Context) error {
	s := f.world.Server(f.name)
	if err := s.Pause(); err != nil {
		return err
	}
	f.server = s
	return nil
}

func (f *serverStopped) Evidence(ctx context.Context) (string, error) {
	err := f.world.Answers(ctx, f.name)
	if err == nil {
		return "", fmt.Errorf("%s answers: %w", f.name, ErrNoEffect)
	}
	return fmt.Sprintf("%s did not answer: %v", f.name, err), nil
}

func (f *serverStopped) Heal(context.Context) error {
	if f.server == nil {
		return nil
	}
	return f.server.Resume()
}
