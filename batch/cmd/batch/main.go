// Command batch puts right what the others left: schema and topic, failed events, lost gates.
package main

import (
	"context"
	"io"
	"os"

	"github.com/firstcome/firstcome/batch/internal/cli"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/support/lifecycle"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	return cli.Run(ctx, args, cli.Process{Out: out, Err: errOut, Logging: redisgate.LogTo})
}
