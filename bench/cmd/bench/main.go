// Command bench measures firstcome beside what it stands on, in one run on the servers of `make services`:
//
//	bench [-quick] [-rounds 5] [-only claim,empty] [-out bench/results]
//	bench compare OLD.json NEW.json
//
// It reads FIRSTCOME_REDIS_ADDRS, FIRSTCOME_KAFKA_BROKERS, FIRSTCOME_DATABASE_DSN and FIRSTCOME_AUTH_HS256_SECRET, as
// `make services` writes them, and starts itself again as the load generator and as the empty handler.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/firstcome/firstcome/bench/crowd"
	"github.com/firstcome/firstcome/bench/limits"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == crowd.Subcommand:
		return crowd.Generate(ctx, os.Stdin, os.Stdout)
	case len(args) == 3 && args[0] == limits.EmptySubcommand:
		return limits.ServeEmpty(args[2]) // behind -addr
	case len(args) > 0 && args[0] == "compare":
		return compare(os.Stdout, args[1:])
	default:
		return measureAll(ctx, args)
	}
}
