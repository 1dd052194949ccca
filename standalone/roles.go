package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/api"
	"github.com/firstcome/firstcome/batch"
	"github.com/firstcome/firstcome/consumer"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/ops"
)

type roles struct {
	listener net.Listener
	running  Running
}

// addRoles adds the one ops listener and the three roles. Each role has a registry of its own, whose metrics carry the
// role's name in the common one: two roles may measure the same thing.
func addRoles(g *lifecycle.Group, cfg config.Config, o Options, r roles) {
	common := ops.NewRegistry()
	server := ops.New(ops.Options{Role: string(config.Standalone), Gatherer: common, Log: o.Log, Profile: cfg.Ops.Profile})
	registry := func(role config.Role) *prometheus.Registry {
		own := prometheus.NewRegistry()
		prometheus.WrapRegistererWith(prometheus.Labels{"role": string(role)}, common).MustRegister(own)
		return own
	}
	checks := func(role config.Role) func(string, func(context.Context) error, bool) {
		return func(name string, check func(context.Context) error, liveness bool) {
			server.Add(string(role)+" "+name, check, liveness)
		}
	}
	up := &starting{}
	server.Add("started", up.check, false)
	log := func(role config.Role) *slog.Logger { return o.Log.With("part", string(role)) }

	g.Go("ops", func(ctx context.Context) error { return server.Serve(ctx, r.listener) })
	g.Go("consumer", func(ctx context.Context) error {
		return consumer.Run(ctx, cfg, consumer.Options{
			Log: log(config.Consumer), Registry: registry(config.Consumer), Checks: checks(config.Consumer),
			Ready: up.role(nil),
		})
	})
	g.Go("batch", func(ctx context.Context) error {
		return batch.Run(ctx, cfg, batch.Options{
			Log: log(config.Batch), Registry: registry(config.Batch), Checks: checks(config.Batch),
			Ready: up.role(nil),
		})
	})
	g.Go("api", func(ctx context.Context) error {
		return api.Run(ctx, cfg, api.Options{
			Log: log(config.API), Registry: registry(config.API), Checks: checks(config.API),
			Ready: up.role(func(addr string) {
				r.running.API = "http://" + addr
				if o.Ready != nil {
					o.Ready(r.running)
				}
			}),
		})
	})
}

// starting counts the roles that are up: until all are, the stack is not ready, since a role adds its own checks only
// when it has opened everything.
type starting struct{ up atomic.Int32 }

const allRoles = 3

// role is what a role calls when it is up.
func (s *starting) role(then func(addr string)) func(addr string) {
	return func(addr string) {
		s.up.Add(1)
		if then != nil {
			then(addr)
		}
	}
}

func (s *starting) check(context.Context) error {
	if n := s.up.Load(); n < allRoles {
		return fmt.Errorf("%d of %d roles are up", n, allRoles)
	}
	return nil
}
