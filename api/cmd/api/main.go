// Command api answers users and admins over HTTP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/firstcome/firstcome/api"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/core/support/ops"
)

func main() { os.Exit(run()) }

// gcPercent is how much garbage there may be beside what is alive before it is collected. A claim leaves some 10 KiB and an
// api keeps tens of megabytes alive; with Go's 100 the collector takes a tenth of the processor in a storm, with this a
// third of that, for at most five times the memory. GOGC goes first.
const gcPercent = 400

// run returns the exit status: 0 stopped as asked, 1 failed, 2 the command line or the configuration cannot be used.
func run() int {
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	path := flags.String("config", "", "YAML file with settings (default configs/api.yaml, if it is there)")
	version := flags.Bool("version", false, "print the version and end")
	flags.Usage = func() {
		_, _ = fmt.Fprintf(flags.Output(), "api answers users and admins over HTTP.\n\n")
		flags.PrintDefaults()
		_, _ = fmt.Fprintf(flags.Output(), "\n%s", config.Help(config.API))
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
	cfg, err := config.Load(config.API, config.LoadOptions{Path: *path})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err) // it names the program itself
		return 2
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	log := logging.New(os.Stderr, cfg.Log, config.API)
	if err := api.Run(ctx, cfg, api.Options{Log: log, Ops: true, Ready: func(addr string) { log.Info("serving", "addr", addr) }}); err != nil {
		return complain(1, err)
	}
	return 0
}

func complain(status int, err error) int {
	_, _ = fmt.Fprintln(os.Stderr, "api:", err) // nobody is left to tell that this failed
	return status
}
