package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
	"github.com/firstcome/firstcome/e2e/proxy"
)

// links are the connections between any two parts, as from>to.
func links() []string {
	all := []string{"client>api-1", "client>api-2"}
	for _, role := range []string{"api-1", "api-2", "batch-1", "batch-2"} {
		for _, server := range []string{world.Redis, world.Kafka, world.MySQL} {
			all = append(all, role+">"+server)
		}
	}
	for _, role := range []string{"consumer-1", "consumer-2"} {
		all = append(all, role+">"+world.Kafka, role+">"+world.MySQL)
	}
	return all
}

func linkKinds() []Kind {
	kind := func(name string, least, most float64, spoil func(*proxy.Proxy, schedule.Step)) Kind {
		return Kind{seconds(choice("connection "+name, 3, links()...), least, most), ofLink, alone,
			func(e Env, s schedule.Step) Fault {
				return &linkSpoiled{link: linkOf(e.World, s.Target), step: s, spoil: spoil}
			}}
	}
	return []Kind{
		kind("cut", 0.2, 4, func(p *proxy.Proxy, _ schedule.Step) { p.Cut() }),
		kind("stalled", 0.5, 6, func(p *proxy.Proxy, _ schedule.Step) { p.Stall() }),
		kind("delayed", 2, 6, func(p *proxy.Proxy, s schedule.Step) { p.Delay(time.Duration(20+s.Pick%180) * time.Millisecond) }),
		kind("half-closed", 1, 4, func(p *proxy.Proxy, _ schedule.Step) { p.HalfClose() }),
		kind("without replies", 0.5, 5, func(p *proxy.Proxy, _ schedule.Step) { p.DropReplies() }),
	}
}

// ofLink: what suffers is what the one does whose connection it is.
func ofLink(target string) Recovery {
	switch {
	case strings.HasPrefix(target, "consumer-"):
		return ByRows
	case strings.HasPrefix(target, "batch-"):
		return ByReady
	default:
		return ByClaims
	}
}

func linkOf(w *world.World, target string) *proxy.Proxy {
	from, to, _ := strings.Cut(target, ">")
	if from == "client" {
		return w.Role(to).Front
	}
	return w.Role(from).Links[to]
}

// linkSpoiled does to one connection what networks do.
type linkSpoiled struct {
	link  *proxy.Proxy
	step  schedule.Step
	spoil func(*proxy.Proxy, schedule.Step)
}

func (f *linkSpoiled) Inject(context.Context) error {
	f.spoil(f.link, f.step)
	return nil
}

func (f *linkSpoiled) Evidence(context.Context) (string, error) {
	n := f.link.Affected()
	if n == 0 {
		return "", fmt.Errorf("nobody used the connection: %w", ErrNoEffect)
	}
	return fmt.Sprintf("it met %d connections or chunks", n), nil
}

func (f *linkSpoiled) Heal(context.Context) error {
	f.link.Heal()
	return nil
}
