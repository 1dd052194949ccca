// Command bench measures the claim path of a running firstcome (see `make up`) against an empty gin handler, in turns in
// one run, and checks the outcome of every round.
//
//	bench -round 3 -requests 20000 -connections 64,256
//
// It reads FIRSTCOME_API_ADDRS, FIRSTCOME_AUTH_HS256_SECRET and FIRSTCOME_DATABASE_DSN, as `make up` writes them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "empty-handler" {
		exit(serveEmpty())
	}
	requests := flag.Int("requests", 20_000, "claims a round, each of another user (at most 1,000,000)")
	rounds := flag.Int("rounds", 3, "rounds of each measurement, in turns (at most 20)")
	connections := flag.String("connections", "64,256", "connections to measure with, comma-separated (each at most 1,024)")
	out := flag.String("out", "results", "folder for the result file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	plan := plan{requests: min(max(*requests, 1), 1_000_000), rounds: min(max(*rounds, 1), 20), out: *out}
	for _, text := range strings.Split(*connections, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > 1024 {
			exit(fmt.Errorf("-connections: %q is not a number from 1 to 1024", text))
		}
		plan.connections = append(plan.connections, n)
	}
	exit(plan.run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
