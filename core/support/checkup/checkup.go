// Package checkup is what a role does with the doctor's word on its servers: it looks at the start and refuses to run on
// what breaks a guarantee, says what is risky, and looks again from time to time.
//
// A server that cannot be reached keeps nobody from starting: the role waits for it as it always does, and is refused
// when the server is reached for the first time and is not as it must be. What goes wrong later is said (/readyz, the log,
// metrics) and ends nothing: a sale that runs is worth more than a warning.
package checkup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/doctor"
	"github.com/firstcome/firstcome/core/support/ops"
)

const (
	// lookTimeout bounds one look at one server; it takes some 10 ms, on a busy machine a second. All servers are looked at
	// together, so that a role whose server hangs starts so much later.
	lookTimeout = 3 * time.Second
	// againUnreached is the pause while a server has not been reached yet, again the pause after that: settings change
	// when somebody changes them, and a look is a dozen commands.
	againUnreached = 5 * time.Second
	again          = 5 * time.Minute
)

// Deps are what a Checkup asks. A server that the role has no connection to is nil.
type Deps struct {
	Config     doctor.Config
	Redis      func(ctx context.Context) (*doctor.Redis, error)
	Kafka      func(ctx context.Context) (*doctor.Kafka, error)
	Database   func(ctx context.Context) (*doctor.Database, error)
	Allow      []string // names of checks that may break a guarantee (checks.allow)
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Timeout    time.Duration // of one look at one server; 0: the package's
	// Unreached and Again are the pauses between looks; 0: the package's.
	Unreached, Again time.Duration
}

// ConfigOf is what the judgement needs of a role's settings.
func ConfigOf(role config.Role, cfg config.Config) doctor.Config {
	return doctor.Config{
		Role: string(role), Partitions: cfg.Kafka.Partitions, MaxConns: cfg.Database.MaxConns, ReplicaMaxLag: cfg.Redis.ReplicaMaxLag,
	}
}

// Look asks all servers at the same time and returns what they told, or why they did not.
func Look(ctx context.Context, d Deps) doctor.Facts {
	f := doctor.Facts{Config: d.Config, Host: doctor.Host{Files: openFiles()}}
	var all sync.WaitGroup
	if d.Redis != nil {
		all.Go(func() { f.Redis, f.RedisErr = ask(ctx, d.Timeout, d.Redis) })
	}
	if d.Kafka != nil {
		all.Go(func() { f.Kafka, f.KafkaErr = ask(ctx, d.Timeout, d.Kafka) })
	}
	if d.Database != nil {
		all.Go(func() { f.Database, f.DatabaseErr = ask(ctx, d.Timeout, d.Database) })
	}
	all.Wait()
	return f
}

func ask[T any](ctx context.Context, timeout time.Duration, question func(context.Context) (*T, error)) (*T, error) {
	if timeout <= 0 {
		timeout = lookTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := question(ctx)
	switch {
	case err != nil:
		return nil, err
	case answer == nil:
		return nil, errors.New("nothing was told")
	}
	return answer, nil
}

// Checkup is a role's. Start, then Run.
type Checkup struct {
	deps     Deps
	severity *prometheus.GaugeVec

	mu      sync.Mutex
	report  doctor.Report // nil: not looked yet
	missing map[string]error
	reached map[string]bool // servers that were looked at once
}

// New makes a Checkup.
func New(d Deps) *Checkup {
	if d.Unreached <= 0 {
		d.Unreached = againUnreached
	}
	if d.Again <= 0 {
		d.Again = again
	}
	c := &Checkup{
		deps: d, reached: map[string]bool{}, missing: map[string]error{},
		severity: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firstcome_check_severity",
			Help: "What the checks of `batch doctor` say in this process: 0 fine, 1 advice, 2 risky, 3 breaks a guarantee, -1 not known.",
		}, []string{"check", "allowed"}),
	}
	d.Registerer.MustRegister(c.severity)
	return c
}

// Start looks once. The error, a *doctor.RefusedError, says why the role must not run.
func (c *Checkup) Start(ctx context.Context) error {
	err := c.look(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.report {
		switch {
		case r.Severity == doctor.Breaks && slices.Contains(c.deps.Allow, r.Name):
			c.deps.Log.Warn("starting all the same: checks.allow accepts what breaks a guarantee", "check", r.Name, "finding", r.String())
		case r.Severity == doctor.Risky:
			c.deps.Log.Warn("risky", "check", r.Name, "finding", r.String())
		}
	}
	return err
}

// Run looks again from time to time until ctx ends, and then returns nil; or a *doctor.RefusedError when a server that was
// reached for the first time is not as it must be.
func (c *Checkup) Run(ctx context.Context) error {
	for {
		pause := c.deps.Again
		if c.unreached() {
			pause = c.deps.Unreached
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		if err := c.look(ctx); err != nil {
			return err
		}
	}
}

func (c *Checkup) unreached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for server := range c.missing {
		if !c.reached[server] {
			return true
		}
	}
	return false
}

// look asks, judges and notes. Only a server that is looked at for the first time can make it fail.
func (c *Checkup) look(ctx context.Context) error {
	facts := Look(ctx, c.deps)
	if ctx.Err() != nil {
		return nil // the role stops; what was not answered because of that says nothing
	}
	report := doctor.Judge(facts)
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.report
	c.report, c.missing = report, map[string]error{}
	var refused doctor.Report
	for server, err := range map[string]error{"redis": facts.RedisErr, "kafka": facts.KafkaErr, "database": facts.DatabaseErr} {
		if err != nil {
			c.missing[server] = err
			continue
		}
		if !c.reached[server] {
			refused = append(refused, of(report.Of(doctor.Breaks).Without(c.deps.Allow), server)...)
		}
		c.reached[server] = true
	}
	c.measure(report)
	if len(refused) > 0 {
		return &doctor.RefusedError{Role: c.deps.Config.Role, Findings: refused}
	}
	for _, r := range report.Of(doctor.Breaks) {
		if before != nil && !slices.Contains(before.Of(doctor.Breaks).Names(), r.Name) {
			c.deps.Log.Error("a setting was changed and breaks a guarantee now", "check", r.Name, "finding", r.String())
		}
	}
	return nil
}

// of are the results that belong to one server: a check's name begins with it.
func of(r doctor.Report, server string) doctor.Report {
	return slices.DeleteFunc(r, func(x doctor.Result) bool { return !strings.HasPrefix(x.Name, server+"_") })
}

func (c *Checkup) measure(report doctor.Report) {
	levels := map[doctor.Severity]float64{"": -1, doctor.Fine: 0, doctor.Advice: 1, doctor.Risky: 2, doctor.Breaks: 3}
	for _, r := range report {
		c.severity.WithLabelValues(r.Name, fmt.Sprint(slices.Contains(c.deps.Allow, r.Name))).Set(levels[r.Severity])
	}
}

// Ready is the check for /readyz: it names what is not known yet, and what was changed since the start so that it breaks
// a guarantee. The role goes on in both cases.
func (c *Checkup) Ready(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var say []string
	for _, server := range []string{"redis", "kafka", "database"} {
		if err := c.missing[server]; err != nil && !c.reached[server] {
			say = append(say, fmt.Sprintf("not checked yet, since %s does not answer: %v", server, err))
		}
	}
	for _, r := range c.report.Of(doctor.Breaks).Without(c.deps.Allow) {
		say = append(say, "breaks a guarantee: "+r.String())
	}
	if len(say) == 0 {
		return nil
	}
	return &ops.DegradedError{Err: errors.New(strings.Join(say, "; "))}
}
