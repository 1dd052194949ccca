// Command consumer writes what the journal holds into the ledger.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/firstcome/firstcome/consumer"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/core/support/ops"
)

func main() { os.Exit(run()) }

// run returns the exit status: 0 stopped as asked, 1 failed, 2 the command line or the configuration cannot be used.
func run() int {
	flags := flag.NewFlagSet("consumer", flag.ContinueOnError)
	path := flags.String("config", "", "YAML file with settings (default configs/consumer.yaml, if it is there)")
	version := flags.Bool("version", false, "print the version and end")
	flags.Usage = func() {
		_, _ = fmt.Fprintf(flags.Output(), "consumer writes what the journal holds into the ledger.\n\n")
		flags.PrintDefaults()
		_, _ = fmt.Fprintf(flags.Output(), "\n%s", config.Help(config.Consumer))
	}
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		return complain(2, fmt.Errorf("unknown argument %q; see --help", flags.Arg(0)))
	case *version:
		fmt.Println(ops.Version())
		return 0
	}
	cfg, err := config.Load(config.Consumer, config.LoadOptions{Path: *path})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err) // it names the program itself
		return 2
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	log := logging.New(os.Stderr, cfg.Log, config.Consumer)
	err = consumer.Run(ctx, cfg, consumer.Options{
		Log: log, Ops: true, Ready: func(addr string) { log.Info("reading", "ops", addr) },
	})
	if err != nil {
		return complain(1, err)
	}
	return 0
}

func complain(status int, err error) int {
	_, _ = fmt.Fprintln(os.Stderr, "consumer:", err) // nobody is left to tell that this failed
	return status
}
