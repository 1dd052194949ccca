package faults

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
	"github.com/firstcome/firstcome/e2e/proxy"
)

// pairKinds are two faults at once that schedules would seldom bring together, and whose meeting is what the protocol is
// about: a record that comes to the journal behind the barrier of a rebuild, a mark behind a commit that never came.
func pairKinds() []Kind {
	apis := []string{"api-1", "api-2"}
	late := func(target string) []string { return []string{world.Redis, target + ">" + world.Kafka} }
	return []Kind{
		{seconds(choice("redis lost, journal slow", 4, apis...), 0.9, 1.9), claims, late, func(e Env, s schedule.Step) Fault {
			return &lostBehind{env: e, step: s, links: []*proxy.Proxy{linkOf(e.World, s.Target+">"+world.Kafka)}}
		}},
		{seconds(choice("redis lost, no journal", 2), 2.5, 5), claims, func(string) []string {
			return []string{world.Redis, "api-1>" + world.Kafka, "api-2>" + world.Kafka}
		}, func(e Env, s schedule.Step) Fault {
			return &lostBehind{env: e, step: s, links: []*proxy.Proxy{
				linkOf(e.World, "api-1>"+world.Kafka), linkOf(e.World, "api-2>"+world.Kafka),
			}}
		}},
		{seconds(choice("redis lost, api stopped", 3, apis...), 0.9, 3), claims, func(target string) []string {
			return []string{world.Redis, target}
		}, func(e Env, s schedule.Step) Fault {
			return &lostBehind{env: e, step: s, role: &roleStops{role: e.World.Role(s.Target)}}
		}},
		{seconds(choice("consumer killed mid-write", 3, "consumer-1", "consumer-2"), 0.6, 2), rows, func(target string) []string {
			return []string{target, target + ">" + world.MySQL}
		}, func(e Env, s schedule.Step) Fault {
			return &killedMidWrite{link: linkOf(e.World, s.Target+">"+world.MySQL), hold: s.Hold,
				roleEnds: roleEnds{role: e.World.Role(s.Target), sig: syscall.SIGKILL}}
		}},
	}
}

// lostBehind loses the gates while places are on their way from them to the journal: the way is stalled, or the api that
// carries them is stopped, and goes on when others may have rebuilt the gates.
type lostBehind struct {
	env   Env
	step  schedule.Step
	links []*proxy.Proxy
	role  *roleStops
	lost  redisFlushed
}

func (f *lostBehind) Inject(ctx context.Context) error {
	for _, link := range f.links {
		link.Stall()
	}
	if f.role != nil {
		if err := f.role.Inject(ctx); err != nil {
			return err
		}
	}
	// Somewhere in the first third, so that there is time for a rebuild before the way is free again.
	wait := time.Duration(f.step.Pick % uint64(f.step.Hold/3))
	if err := pause(ctx, 50*time.Millisecond+wait); err != nil {
		return err
	}
	f.lost.pair = f.env.World.Redis
	return f.lost.Inject(ctx)
}

func (f *lostBehind) Evidence(ctx context.Context) (string, error) {
	lost, err := f.lost.Evidence(ctx)
	if err != nil {
		return "", err
	}
	if f.role != nil {
		stopped, err := f.role.Evidence(ctx)
		return lost + "; " + stopped, err
	}
	n := 0
	for _, link := range f.links {
		n += link.Affected()
	}
	if n == 0 {
		return "", fmt.Errorf("nobody used the way to the journal: %w", ErrNoEffect)
	}
	return fmt.Sprintf("%s; %d chunks to or from the journal were held up", lost, n), nil
}

func (f *lostBehind) Heal(ctx context.Context) error {
	for _, link := range f.links {
		link.Heal()
	}
	if f.role != nil {
		return f.role.Heal(ctx)
	}
	return nil
}

// killedMidWrite kills a consumer whose transactions are held up, so that none of them comes to its commit.
type killedMidWrite struct {
	roleEnds
	link *proxy.Proxy
	hold time.Duration
	met  int
}

func (f *killedMidWrite) Inject(ctx context.Context) error {
	f.link.Stall()
	if err := pause(ctx, f.hold); err != nil {
		return err
	}
	err := f.roleEnds.Inject(ctx)
	f.met = f.link.Affected()
	// What was sent and held up must not arrive: the connections end with the process that had them.
	f.link.Cut()
	return err
}

func (f *killedMidWrite) Evidence(ctx context.Context) (string, error) {
	if f.met == 0 {
		return "", fmt.Errorf("it wrote nothing: %w", ErrNoEffect)
	}
	killed, err := f.roleEnds.Evidence(ctx)
	return fmt.Sprintf("%d chunks were held up; %s", f.met, killed), err
}

func (f *killedMidWrite) Heal(ctx context.Context) error {
	f.link.Heal()
	return f.roleEnds.Heal(ctx)
}
