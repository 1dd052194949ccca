// Command sabotage breaks the product in small ways, one at a time and always in a copy, and asks the tests whether they
// notice. It prints which test caught which breakage, and ends with status 1 when one survives, when its edit no longer
// fits the code, or when it does not compile: each of the three means that the table says something that is not so.
//
//	sabotage [-fast] [-only name,name] [-workers 2] [-root .]
//
// A survivor is a missing test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(1)
	}
}

type options struct {
	root    string
	only    string
	fast    bool
	workers int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("sabotage", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", ".", "the repository")
	flags.StringVar(&o.only, "only", "", "these sabotages, by name, with commas between them")
	flags.BoolVar(&o.fast, "fast", false, "the half whose tests need seconds and no broker")
	flags.IntVar(&o.workers, "workers", 2, "copies that are worked on at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	rows, err := choose(list(), o)
	if err != nil {
		return err
	}
	began := time.Now()
	outcomes, err := try(ctx, o, rows, func(r outcome) { _, _ = fmt.Fprintln(out, r.line()) }) // what cannot be printed is counted all the same
	if err != nil {
		return err
	}
	return judge(out, outcomes, time.Since(began))
}

// choose is what is asked for, in the order of the list. What needs a server that nobody named is left to try to tell.
func choose(all []sabotage, o options) ([]sabotage, error) {
	if o.only == "" {
		return slices.DeleteFunc(all, func(s sabotage) bool { return o.fast && !s.fast }), nil
	}
	var rows []sabotage
	for name := range strings.SplitSeq(o.only, ",") {
		at := slices.IndexFunc(all, func(s sabotage) bool { return s.name == name })
		if at < 0 {
			names := make([]string, len(all))
			for i, s := range all {
				names[i] = s.name
			}
			return nil, fmt.Errorf("there is no sabotage %q; there are %s", name, strings.Join(names, ", "))
		}
		rows = append(rows, all[at])
	}
	return rows, nil
}

// judge prints the sum and says whether all is well.
func judge(out io.Writer, outcomes []outcome, took time.Duration) error {
	count := map[verdict]int{}
	var bad []string
	for _, o := range outcomes {
		count[o.verdict]++
		if o.verdict != caught && o.verdict != leftOut {
			bad = append(bad, fmt.Sprintf("%s %s", o.name, o.verdict))
		}
	}
	_, err := fmt.Fprintf(out, "\n%d sabotages: %d caught, %d survived, %d that prove nothing as they are, %d left out, in %.0f s\n",
		len(outcomes), count[caught], count[survived], count[noFit]+count[noBuild]+count[noBaseline], count[leftOut], took.Seconds())
	switch {
	case err != nil:
		return err
	case len(bad) > 0:
		return errors.New(strings.Join(bad, "; "))
	case count[caught] == 0:
		return errors.New("nothing was tried")
	}
	return nil
}
