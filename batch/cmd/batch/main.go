// Command batch puts right what the others left: schema and topic, failed events, lost gates.
package main

import (
	"context"
	"os"

	"github.com/firstcome/firstcome/batch/internal/cli"
	"github.com/firstcome/firstcome/core/support/lifecycle"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	return cli.Run(ctx, os.Args[1:], cli.Process{Out: os.Stdout, Err: os.Stderr})
}
