// Command api answers users and admins over HTTP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/firstcome/firstcome/api"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/core/support/ops"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// gcPercent is how much garbage there may be beside what is alive before it is collected. A claim leaves some 10 KiB and an
// api keeps tens of megabytes alive; with Go's 100 the collector takes a tenth of the processor in a storm, with this a
// third of that, for at most five times the memory. GOGC goes first.
const gcPercent = 400

// run returns the exit status: 0 stopped as asked, 1 failed, 2 the command line or the configuration cannot be used.
func run(args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	path := flags.String("config", "", "YAML file with settings (default configs/api.yaml, if it is there)")
	version := flags.Bool("version", false, "print the version and end")
	flags.SetOutput(io.Discard) // what is wrong is told below, in one line
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		_, _ = fmt.Fprint(out, "api answers users and admins over HTTP.\n\n")
		flags.PrintDefaults()
		_, _ = fmt.Fprint(out, "\n"+config.Help(config.API))
		return 0
	case err != nil:
		return complain(errOut, 2, fmt.Errorf("%w; see api --help", err))
	case flags.NArg() > 0:
		return complain(errOut, 2, fmt.Errorf("unknown argument %q; see api --help", flags.Arg(0)))
	case *version:
		_, _ = fmt.Fprintln(out, ops.Version())
		return 0
	}
	cfg, err := config.Load(config.API, config.LoadOptions{Path: *path})
	if err != nil {
		_, _ = fmt.Fprintln(errOut, err) // it names the program itself
		return 2
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	log := logging.New(errOut, cfg.Log, config.API)
	redisgate.LogTo(log)
	if err := api.Run(ctx, cfg, api.Options{Log: log, Ops: true, Ready: func(addr string) { log.Info("serving", "addr", addr) }}); err != nil {
		return complain(errOut, 1, err)
	}
	return 0
}

func complain(errOut io.Writer, status int, err error) int {
	_, _ = fmt.Fprintln(errOut, "api:", err) // nobody is left to tell that this failed
	return status
}
