package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/firstcome/firstcome/bench/loadgen"
)

// plan is one run: rounds of the empty handler and of firstcome in turns, for each number of connections.
type plan struct {
	requests    int
	rounds      int
	connections []int
	out         string
}

// figure is one measurement of one round.
type figure struct {
	What        string  `json:"what"`
	Connections int     `json:"connections"`
	Round       int     `json:"round"`
	PerSecond   float64 `json:"per_second"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	Max         float64 `json:"max_ms"`
	// Persisted is claims a second from the first request to the last row; 0 for the empty handler.
	Persisted float64 `json:"persisted_per_second,omitempty"`
}

func (p plan) run(ctx context.Context) error {
	system, err := connect(ctx)
	if err != nil {
		return err
	}
	defer system.close()
	empty, stop, err := startEmpty(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var figures []figure
	for _, connections := range p.connections {
		for round := 1; round <= p.rounds; round++ {
			fmt.Printf("%d connections, round %d of %d …\n", connections, round, p.rounds)
			token := system.token("u-0")
			limit, err := loadgen.Run(ctx, loadgen.Load{Requests: p.requests, Connections: connections,
				Make: func(i int) (*http.Request, error) { return claimRequest(ctx, empty, int64(i), token) }})
			if err != nil {
				return err
			}
			figures = append(figures, newFigure("empty gin handler", connections, round, limit))
			claims, persisted, err := system.round(ctx, p.requests, connections)
			if err != nil {
				return err
			}
			f := newFigure("durable claim", connections, round, claims)
			f.Persisted = persisted
			figures = append(figures, f)
		}
	}
	p.print(figures)
	return p.keep(figures)
}

func newFigure(what string, connections, round int, r loadgen.Result) figure {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return figure{What: what, Connections: connections, Round: round, PerSecond: r.PerSecond(),
		P50: ms(r.Quantile(50)), P99: ms(r.Quantile(99)), Max: ms(r.Quantile(100))}
}

// print shows medians; the ratio is the median of the rounds' ratios, each of neighbours in time.
func (p plan) print(figures []figure) {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.AppendHeader(table.Row{"", "connections", "requests/s", "p50 ms", "p99 ms", "ratio to empty", "persisted/s", "ratio"})
	for _, connections := range p.connections {
		empty := pick(figures, "empty gin handler", connections)
		claim := pick(figures, "durable claim", connections)
		ratios, persisted := make([]float64, len(empty)), make([]float64, len(empty))
		for i := range empty {
			ratios[i], persisted[i] = claim[i].PerSecond/empty[i].PerSecond, claim[i].Persisted/empty[i].PerSecond
		}
		get := func(fs []figure, of func(figure) float64) float64 {
			values := make([]float64, len(fs))
			for i, f := range fs {
				values[i] = of(f)
			}
			return median(values)
		}
		for _, fs := range [][]figure{empty, claim} {
			row := table.Row{fs[0].What, connections,
				fmt.Sprintf("%.0f", get(fs, func(f figure) float64 { return f.PerSecond })),
				fmt.Sprintf("%.1f", get(fs, func(f figure) float64 { return f.P50 })),
				fmt.Sprintf("%.1f", get(fs, func(f figure) float64 { return f.P99 }))}
			if fs[0].Persisted > 0 {
				row = append(row, fmt.Sprintf("%.2f", median(ratios)),
					fmt.Sprintf("%.0f", get(fs, func(f figure) float64 { return f.Persisted })),
					fmt.Sprintf("%.2f", median(persisted)))
			}
			t.AppendRow(row)
		}
	}
	t.Render()
}

func pick(figures []figure, what string, connections int) (picked []figure) {
	for _, f := range figures {
		if f.What == what && f.Connections == connections {
			picked = append(picked, f)
		}
	}
	return picked
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// keep writes one dated file a run.
func (p plan) keep(figures []figure) error {
	text, err := json.MarshalIndent(map[string]any{
		"at": time.Now().UTC().Format(time.RFC3339), "cpus": runtime.NumCPU(), "go": runtime.Version(),
		"os": runtime.GOOS + "/" + runtime.GOARCH, "requests": p.requests, "figures": figures,
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.out, 0o750); err != nil {
		return err
	}
	path := filepath.Join(p.out, time.Now().UTC().Format("2006-01-02T150405")+".json")
	fmt.Println("kept in", path)
	return os.WriteFile(path, append(text, '\n'), 0o600)
}
