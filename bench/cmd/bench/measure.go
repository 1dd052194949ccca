package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/firstcome/firstcome/bench/measure"
	"github.com/firstcome/firstcome/bench/report"
	"github.com/firstcome/firstcome/bench/world"
)

const (
	fullRounds  = 5
	quickRounds = 2
	mostRounds  = 50
)

func measureAll(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "under 3 minutes instead of under 15: fewer rounds, smaller crowds, not everything")
	rounds := flags.Int("rounds", 0, "rounds of what is measured in turns (1 to 50); 0: 5, or 2 with -quick")
	only := flags.String("only", "", "what to measure, comma-separated beginnings of names: claim/64,empty; empty: everything")
	bin := flags.String("bin", "bin", "folder of the programs api, consumer, batch and lab")
	services := flags.String("services", ".run", "folder in which `make services` keeps its pids")
	if err = flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q is no flag and no command", flags.Arg(0))
	case *rounds == 0 && *quick:
		*rounds = quickRounds
	case *rounds == 0:
		*rounds = fullRounds
	case *rounds < 0 || *rounds > mostRounds:
		return fmt.Errorf("-rounds %d: 1 to %d", *rounds, mostRounds)
	}
	w, err := world.Open(ctx, world.Options{Bin: *bin, Run: *services})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	r := &report.Run{At: time.Now().UTC(), Quick: *quick, Machine: report.ThisMachine()}
	s := measure.Suite{World: w, Report: r, Out: os.Stdout, Quick: *quick, Rounds: *rounds}
	if *only != "" {
		s.Only = strings.Split(*only, ",")
	}
	if err = s.Run(ctx); err != nil {
		return err
	}
	for _, f := range r.Figures {
		fmt.Printf("%-16s %8.0f %s  p50 %.1f p99 %.1f  %v\n", f.Name, report.Median(f.Values()), f.Unit, f.Latency("50"), f.Latency("99"), f.Rounds)
	}
	return nil
}
