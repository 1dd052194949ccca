package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/firstcome/firstcome/bench/measure"
	"github.com/firstcome/firstcome/bench/report"
	"github.com/firstcome/firstcome/bench/world"
)

const (
	fullRounds  = 5
	quickRounds = 3
	mostRounds  = 50
)

// options are what the command line chooses.
type options struct {
	quick  bool
	rounds int
	only   string
	out    string
	images string
	world  world.Options
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.quick, "quick", false, "under 3 minutes instead of under 15: fewer rounds, smaller crowds")
	flags.IntVar(&o.rounds, "rounds", 0, "rounds of what is measured in turns (1 to 50), fewer where they take too long; 0: 5, or 3 with -quick")
	flags.StringVar(&o.only, "only", "", "what to measure, comma-separated beginnings of names: claim/64,empty; empty: everything")
	flags.StringVar(&o.out, "out", "", "folder for the results; empty: bench/results, or none with -only")
	flags.StringVar(&o.images, "images", "", "folder for the charts as PNG; empty: docs/images after a full run, else none")
	flags.StringVar(&o.world.Bin, "bin", "bin", "folder of the programs api, consumer, batch and lab")
	flags.StringVar(&o.world.Run, "services", ".run", "folder in which `make services` keeps its pids")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag and no command", flags.Arg(0))
	case o.rounds == 0 && o.quick:
		o.rounds = quickRounds
	case o.rounds == 0:
		o.rounds = fullRounds
	case o.rounds < 0 || o.rounds > mostRounds:
		return o, fmt.Errorf("-rounds %d: 1 to %d", o.rounds, mostRounds)
	}
	if o.only == "" && o.out == "" {
		o.out = filepath.Join("bench", "results")
	}
	if o.only == "" && !o.quick && o.images == "" {
		o.images = filepath.Join("docs", "images")
	}
	return o, nil
}

func measureAll(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil // it was printed
	}
	if err != nil {
		return err
	}
	r := &report.Run{At: time.Now().UTC(), Quick: o.quick, Commit: commit(ctx), Load: report.Load(), Machine: report.ThisMachine()}
	if err = o.run(ctx, r); err != nil {
		return err
	}
	r.Judge()
	fmt.Printf("\n%s\n\n", r.Markdown())
	if o.out != "" {
		paths, err := r.Keep(o.out)
		if err != nil {
			return err
		}
		fmt.Println("kept in", strings.Join(paths, ", "))
	}
	if o.images != "" {
		return r.Draw(o.images)
	}
	return nil
}

// run measures in a world that is gone afterwards.
func (o options) run(ctx context.Context, r *report.Run) (err error) {
	w, err := world.Open(ctx, o.world)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	if r.Machine.Redis, r.Machine.Kafka, r.Machine.Database, err = w.Versions(ctx); err != nil {
		return err
	}
	s := measure.Suite{World: w, Report: r, Out: os.Stdout, Quick: o.quick, Rounds: o.rounds}
	if o.only != "" {
		s.Only = strings.Split(o.only, ",")
	}
	return s.Run(ctx)
}

// commit is what stands in the working directory.
func commit(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=+changes", "--abbrev=12").Output()
	if err != nil {
		return "unknown" // no git, or no repository
	}
	return strings.TrimSpace(string(text))
}
