// Package chaos runs firstcome as processes on servers of its own, lets a crowd claim, and meanwhile kills, stops, cuts,
// empties and changes whatever there is, by a schedule that a seed makes. Then everything is let come to rest and judged:
// by the books (package judge), and by what the clients were told (package check).
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/check"
	"github.com/firstcome/firstcome/e2e/chaos/crowd"
	"github.com/firstcome/firstcome/e2e/chaos/faults"
	"github.com/firstcome/firstcome/e2e/chaos/history"
	"github.com/firstcome/firstcome/e2e/chaos/judge"
	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
)

// Options of a run.
type Options struct {
	Seed   uint64
	Faults int
	Gap    time.Duration // the mean time between two faults
	Rest   time.Duration // how long everything may take to come to rest
	Dir    string        // where everything is kept
	Bin    string        // the programs
	Kinds  []string      // only these; empty: all
	Out    io.Writer
}

// Report is what a run ends with.
type Report struct {
	Options
	Began, Ended time.Time
	Steps        []schedule.Step
	Outcomes     []Outcome
	RestTook     time.Duration
	Unrest       string // why it did not come to rest
	Books        *judge.Result
	Verify       string // what batch verify says, in a line
	Kept         []check.Violation
	Found        map[string]int
	Told         map[string]int64
	Asked        int64
	Promised     int
	Starts       map[string]int // of each role
	Broken       []string       // what the harness itself could not do
}

// spare is how many more steps a schedule has than faults are wanted: some take no effect.
const spare = 3

// markEvery is how often Redis gets a number by which it can be told how old its data are.
const markEvery = 100 * time.Millisecond

// afterwards is how many promised places are asked about again, over HTTP, once all has come to rest.
const afterwards = 400

// Run is one run from the start of the servers to the report. An error means that the harness could not do its work.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	r := &Report{Options: o, Began: time.Now(), Starts: map[string]int{}}
	kinds := chosen(o.Kinds)
	r.Steps = schedule.Make(o.Seed, spare*o.Faults+spare, o.Gap, faults.Choices(kinds))
	if err = r.keepSchedule(); err != nil {
		return nil, err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(o.Out, format+"\n", args...) }
	w, err := world.Start(ctx, o.Dir, o.Bin, rand.New(rand.NewPCG(o.Seed, 2))) //nolint:gosec // chance that can be repeated
	if err != nil {
		return nil, fmt.Errorf("start the servers and roles: %w", err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	say("servers and roles are ready after %.0f s", time.Since(r.Began).Seconds())

	hist, err := history.Create(r.HistoryPath())
	if err != nil {
		return nil, err
	}
	people := crowd.New(w.APIs(), w.Secret(), hist, o.Seed)
	defer people.Leave()
	if err = people.Open(ctx); err != nil {
		return nil, err
	}
	if err = r.storm(ctx, w, people, kinds); err != nil {
		return nil, err
	}
	say("%d faults are over after %.0f s; everything is let come to rest", len(r.Outcomes), time.Since(r.Began).Seconds())
	books := judge.Servers{DB: w.DB, Redis: w.Redis.Admin(), Broker: w.Kafka.Addr(), Topic: world.Topic, Group: world.Group}
	if err = r.rest(ctx, w, people, books, hist); err != nil {
		return nil, r.because(err)
	}
	if err = hist.Close(); err != nil {
		return nil, err
	}
	if err = r.judge(ctx, w, books); err != nil {
		return nil, r.because(err)
	}
	for _, role := range w.Roles {
		r.Starts[role.Name] = role.Starts()
	}
	r.Ended = time.Now()
	return r, nil
}

// because adds to an error what the harness had broken by itself before.
func (r *Report) because(err error) error {
	if len(r.Broken) == 0 {
		return err
	}
	return fmt.Errorf("%w; before that a fault could not be ended: %s", err, strings.Join(r.Broken, "; "))
}

// HistoryPath is where the clients' history is kept.
func (r *Report) HistoryPath() string { return filepath.Join(r.Dir, "history.jsonl") }

// SchedulePath is where the schedule is kept.
func (r *Report) SchedulePath() string { return filepath.Join(r.Dir, "schedule.txt") }

func chosen(names []string) (kinds []faults.Kind) {
	for _, k := range faults.Kinds() {
		ok := len(names) == 0
		for _, name := range names {
			ok = ok || name == k.Kind
		}
		if ok {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func (r *Report) keepSchedule() error {
	f, err := os.Create(r.SchedulePath())
	if err != nil {
		return err
	}
	return errors.Join(schedule.Print(f, r.Steps), f.Close())
}

// storm is the run proper.
func (r *Report) storm(ctx context.Context, w *world.World, people *crowd.Crowd, kinds []faults.Kind) error {
	log, err := os.Create(filepath.Join(r.Dir, "faults.txt"))
	if err != nil {
		return err
	}
	run := newRunner(kinds, faults.Env{World: w, Admin: people.Catalog}, &watch{people, w}, func(format string, args ...any) {
		_, _ = fmt.Fprintf(log, time.Now().UTC().Format("15:04:05.000  ")+format+"\n", args...)
	})
	background, end := context.WithCancel(ctx)
	defer end()
	go mark(background, w.Redis)
	go r.progress(background, run)
	run.run(ctx, r.Steps, r.Faults)
	r.Outcomes = run.outcomes
	for _, o := range r.Outcomes {
		if o.Broken != "" {
			r.Broken = append(r.Broken, fmt.Sprintf("%s: %s", o.Step, o.Broken))
		}
	}
	if ctx.Err() != nil {
		return errors.Join(errStopped, ctx.Err(), log.Close())
	}
	return log.Close()
}

func mark(ctx context.Context, pair *world.RedisPair) {
	ticks := time.NewTicker(markEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			_ = pair.Mark(ctx) // Redis may be down: then there is no mark to lose
		}
	}
}

// progress prints a line now and then.
func (r *Report) progress(ctx context.Context, run *runner) {
	ticks := time.NewTicker(15 * time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			over, effective := run.done()
			_, _ = fmt.Fprintf(r.Out, "  %4.0f s: %d of %d faults took effect, %d are over\n",
				time.Since(r.Began).Seconds(), effective, r.Faults, over)
		}
	}
}

// rest lets everything come to rest and then asks about promises once more, as clients.
func (r *Report) rest(ctx context.Context, w *world.World, people *crowd.Crowd, books judge.Servers, hist *history.Writer) error {
	people.Leave()
	began := time.Now()
	limit, cancel := context.WithTimeout(ctx, r.Rest)
	defer cancel()
	err := w.AwaitReady(limit)
	if err == nil {
		err = books.Rest(limit)
	}
	r.RestTook = time.Since(began)
	if ctx.Err() != nil {
		return errors.Join(errStopped, ctx.Err())
	}
	if err != nil {
		r.Unrest = err.Error()
		return nil // judged as it is
	}
	if err = hist.Flush(); err != nil {
		return err
	}
	seen, err := r.read()
	if err != nil {
		return err
	}
	people.Rest()
	promises := seen.Promises()
	chance := rand.New(rand.NewPCG(r.Seed, 3)) //nolint:gosec // chance that can be repeated
	chance.Shuffle(len(promises), func(i, k int) { promises[i], promises[k] = promises[k], promises[i] })
	for i, p := range promises[:min(len(promises), afterwards)] {
		people.Again(ctx, i%people.APIs(), p.Coupon, p.User, p.Key)
		people.Mine(ctx, (i+1)%people.APIs(), p.Coupon, p.User, p.Nth)
	}
	for i, id := range people.Catalog.All() {
		people.Look(ctx, i%people.APIs(), id)
	}
	return nil
}

// read is the history so far, checked.
func (r *Report) read() (*check.Checker, error) {
	c := check.New()
	return c, history.Read(r.HistoryPath(), c.See)
}

func (r *Report) judge(ctx context.Context, w *world.World, books judge.Servers) (err error) {
	seen, err := r.read()
	if err != nil {
		return err
	}
	promises := seen.Promises()
	r.Promised, r.Told, r.Asked = len(promises), seen.Told(), seen.Asked()
	r.Kept, r.Found = seen.Verdict()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if r.Books, err = books.Judge(ctx, promises); err != nil {
		return err
	}
	verify := w.Command(ctx, "batch", "verify", "--json", "--settle", "10s")
	r.Verify, err = r.Books.Verify(verify, filepath.Join(r.Dir, "verify.json"))
	return err
}

// Holds says whether all was kept.
func (r *Report) Holds() bool {
	return r.Unrest == "" && r.effective() >= r.Faults && len(r.Broken) == 0 && len(r.Found) == 0 && len(r.Books.Count) == 0
}
