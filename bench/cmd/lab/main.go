// Command lab runs the laboratory: each way to issue a limited number of coupons under the same crowd, behind the same HTTP
// front, on the same database, once in peace and once with a kill -9 in the middle; then it prints the table and draws the chart.
//
//	lab -out bench/results
//
// It reads FIRSTCOME_REDIS_ADDRS, FIRSTCOME_KAFKA_BROKERS, FIRSTCOME_DATABASE_DSN and FIRSTCOME_AUTH_HS256_SECRET, as
// `make up` writes them; firstcome itself is measured with two processes of bin/api and the consumers of `make up`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		exit(serve(os.Args[2:]))
	}
	var e experiment
	flag.IntVar(&e.users, "users", 4000, "users who ask, each once, every tenth of them twice at once (at most 100,000)")
	flag.Int64Var(&e.places, "places", 2000, "coupons there are")
	flag.IntVar(&e.connections, "connections", 64, "connections (at most 1,024)")
	flag.StringVar(&e.only, "only", "", "the name of one way; empty: all")
	flag.StringVar(&e.out, "out", "bench/results", "folder for table, figures and chart")
	flag.StringVar(&e.api, "api", "bin/api", "the product's api")
	flag.Parse()
	if e.users < 1 || e.users > 100_000 || e.places < 1 || e.connections < 1 || e.connections > 1024 {
		exit(fmt.Errorf("-users, -places or -connections is out of its range"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(e.run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
