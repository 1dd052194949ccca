// Command consumer writes what the journal holds into the ledger.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/firstcome/firstcome/consumer"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/core/support/ops"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status: 0 stopped as asked, 1 failed, 2 the command line or the configuration cannot be used.
func run(args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("consumer", flag.ContinueOnError)
	path := flags.String("config", "", "YAML file with settings (default configs/consumer.yaml, if it is there)")
	version := flags.Bool("version", false, "print the version and end")
	flags.SetOutput(io.Discard) // what is wrong is told below, in one line
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		_, _ = fmt.Fprint(out, "consumer writes what the journal holds into the ledger.\n\n")
		flags.PrintDefaults()
		_, _ = fmt.Fprint(out, "\n"+config.Help(config.Consumer))
		return 0
	case err != nil:
		return complain(errOut, 2, fmt.Errorf("%w; see consumer --help", err))
	case flags.NArg() > 0:
		return complain(errOut, 2, fmt.Errorf("unknown argument %q; see consumer --help", flags.Arg(0)))
	case *version:
		_, _ = fmt.Fprintln(out, ops.Version())
		return 0
	}
	cfg, err := config.Load(config.Consumer, config.LoadOptions{Path: *path})
	if err != nil {
		_, _ = fmt.Fprintln(errOut, err) // it names the program itself
		return 2
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	log := logging.New(errOut, cfg.Log, config.Consumer)
	err = consumer.Run(ctx, cfg, consumer.Options{
		Log: log, Ops: true, Ready: func(addr string) { log.Info("reading", "ops", addr) },
	})
	if err != nil {
		return complain(errOut, 1, err)
	}
	return 0
}

func complain(errOut io.Writer, status int, err error) int {
	_, _ = fmt.Fprintln(errOut, "consumer:", err) // nobody is left to tell that this failed
	return status
}
