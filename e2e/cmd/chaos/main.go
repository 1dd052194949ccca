// Command chaos runs firstcome under faults and judges what is left; see package e2e/chaos. `make chaos` builds the
// programs and starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos"
	"github.com/firstcome/firstcome/e2e/chaos/schedule"
)

// The exit statuses.
const (
	kept    = 0
	broken  = 1 // an invariant
	failure = 2 // the harness could not do its work
)

// headOfSchedule is how many steps are printed.
const headOfSchedule = 10

func main() { os.Exit(run()) }

func run() int {
	var o chaos.Options
	var kinds, report string
	var keep bool
	flag.IntVar(&o.Faults, "faults", 80, "how many faults")
	flag.Uint64Var(&o.Seed, "seed", 0, "makes the schedule; 0: a fresh one, which is printed")
	flag.DurationVar(&o.Gap, "gap", 2200*time.Millisecond, "mean time between two faults")
	flag.DurationVar(&o.Rest, "rest", 3*time.Minute, "how long everything may take to come to rest at the end")
	flag.StringVar(&o.Bin, "bin", "bin", "folder of the programs api, consumer and batch")
	flag.StringVar(&kinds, "kinds", "", "only these kinds of faults, parted by semicolons")
	flag.StringVar(&o.Dir, "dir", "", "folder for everything the run leaves; default: a new one below the system's")
	flag.StringVar(&report, "report", "", "file for the report as Markdown")
	flag.BoolVar(&keep, "keep", false, "keep the folder also when all is kept")
	flag.Parse()
	o.Out = os.Stdout
	if kinds != "" {
		o.Kinds = strings.Split(kinds, ";")
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1 << 32) //nolint:gosec // no secret
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := chaosIn(ctx, o, report)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
		return failure
	case !r.Holds():
		fmt.Printf("everything is kept in %s\n", r.Dir)
		return broken
	case keep:
		fmt.Printf("everything is kept in %s\n", r.Dir)
		return kept
	}
	if err := os.RemoveAll(r.Dir); err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
		return failure
	}
	return kept
}

func chaosIn(ctx context.Context, o chaos.Options, report string) (*chaos.Report, error) {
	var err error
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "firstcome-chaos-"); err != nil {
			return nil, err
		}
	}
	for _, path := range []*string{&o.Dir, &o.Bin} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	if err = os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	fmt.Printf("chaos: %d faults, seed %d; everything is in %s\n", o.Faults, o.Seed, o.Dir)
	r, err := chaos.Run(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%w (see %s)", err, o.Dir)
	}
	fmt.Printf("\nthe schedule began so (all of it in %s):\n", r.SchedulePath())
	if err = schedule.Print(os.Stdout, r.Steps[:min(len(r.Steps), headOfSchedule)]); err != nil {
		return nil, err
	}
	r.Print(os.Stdout)
	if report == "" {
		return r, nil
	}
	f, err := os.Create(report) //nolint:gosec // the path is the caller's
	if err != nil {
		return nil, err
	}
	return r, errors.Join(r.Markdown(f), f.Close())
}
