package batch

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options of a run. Log is needed.
type Options struct {
	Log      *slog.Logger
	Registry *prometheus.Registry // nil: one of its own
	Now      func() time.Time     // the host's clock; nil: time.Now
	Ops      bool                 // serve /livez, /readyz and /metrics on ops.addr
	// Checks gets the checks of this role; nil: they are only on its own ops listener.
	Checks func(name string, check func(context.Context) error, liveness bool)
	// Ready is called once, when the schedule begins, with the address of the ops listener ("" without); nil: nobody
	// waits.
	Ready func(addr string)
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Checks == nil {
		o.Checks = func(string, func(context.Context) error, bool) {}
	}
	if o.Ready == nil {
		o.Ready = func(string) {}
	}
	return o
}
