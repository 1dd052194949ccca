package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/bench/report"
)

// run is a run with two rounds of claims and of the empty handler, and single figures.
func run(claims, empty []float64, single map[string]float64) *report.Run {
	r := &report.Run{
		At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Commit: "0123456789ab",
		Machine: report.Machine{Processor: "Some(R) CPU @ 2 GHz", Cores: 2},
	}
	latencies := map[string]float64{"50": 3, "99": 15, "99.9": 40}
	for i := range claims {
		r.Add("claim/64", "durable claim", "a second", report.Sample{
			Value: claims[i], Latencies: latencies, Processor: map[string]float64{"api": 30, "redis": 7}, Stages: map[string]float64{"journal": 2},
		})
		r.Add("empty/64", "empty handler", "a second", report.Sample{Value: empty[i], Processor: map[string]float64{"handler": 15}})
	}
	for name, value := range single {
		r.Add(name, name, "ms", report.Sample{Value: value})
	}
	r.Judge()
	return r
}

func goal(t *testing.T, r *report.Run, name string) report.Goal {
	t.Helper()
	for _, g := range r.Goals {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("no goal %s", name)
	return report.Goal{}
}

func TestARatioIsOfNeighboursInTime(t *testing.T) {
	t.Parallel()
	// The second round met a machine that was half as fast for both.
	g := goal(t, run([]float64{600, 300}, []float64{1000, 500}, nil), "claim/64")
	require.Equal(t, []float64{0.6, 0.6}, g.Rounds)
	require.InDelta(t, 450, g.Absolute, 1e-9)
	require.True(t, g.Met)
	require.InDelta(t, 2, goal(t, run([]float64{600}, []float64{1000}, nil), "processor/64").Median, 1e-9)
	// One round of the one and two of the other: to the median.
	r := run([]float64{600, 300}, []float64{1000, 500}, map[string]float64{"lock": 10})
	r.Add("persisted/64", "", "", report.Sample{Value: 600})
	r.Add("persisted/64", "", "", report.Sample{Value: 300})
	r.Judge()
	g = goal(t, r, "lock")
	require.Equal(t, []float64{60, 30}, g.Rounds)
	require.InDelta(t, 30, g.Min, 1e-9)
	require.InDelta(t, 60, g.Max, 1e-9)
}

func TestAGoalIsMetOrNot(t *testing.T) {
	t.Parallel()
	r := run([]float64{499}, []float64{1000}, map[string]float64{"open/p99": 20, "open/p99.9": 50.5, "fairness": 0, "issued/p99": 251})
	for name, met := range map[string]bool{
		"claim/64": false, "open/p99": true, "open/p99.9": false, "fairness": true, "issued/p99": false,
	} {
		require.Equal(t, met, goal(t, r, name).Met, name)
	}
	for _, g := range r.Goals {
		require.NotEqual(t, "claim/256", g.Name, "there are no figures for it")
	}
}

func TestAComparisonFindsWhatBecameWorseBeyondTheSpreads(t *testing.T) {
	t.Parallel()
	before := run([]float64{600, 600}, []float64{1000, 1000}, map[string]float64{"open/p99": 10, "fairness": 0})
	for name, c := range map[string]struct {
		after *report.Run
		worse []string
	}{
		"the same":               {before, nil},
		"within the tolerance":   {run([]float64{575, 575}, []float64{1000, 1000}, nil), nil},
		"slower":                 {run([]float64{500, 500}, []float64{1000, 1000}, nil), []string{"claim/64"}},
		"faster":                 {run([]float64{900, 900}, []float64{1000, 1000}, nil), nil},
		"a slower machine":       {run([]float64{60, 60}, []float64{100, 100}, nil), nil},
		"slower, uncertain":      {run([]float64{400, 600}, []float64{1000, 1000}, nil), nil},
		"slower answers":         {run([]float64{600}, []float64{1000}, map[string]float64{"open/p99": 11}), []string{"open/p99"}},
		"quicker answers":        {run([]float64{600}, []float64{1000}, map[string]float64{"open/p99": 5}), nil},
		"somebody was overtaken": {run([]float64{600}, []float64{1000}, map[string]float64{"fairness": 1}), []string{"fairness"}},
	} {
		var out strings.Builder
		worse, err := report.Compare(&out, before, c.after)
		require.NoError(t, err, name)
		require.Equal(t, c.worse, worse, "%s:\n%s", name, out.String())
		require.Equal(t, len(c.worse), strings.Count(out.String(), "WORSE"), name)
	}
	_, err := report.Compare(&strings.Builder{}, before, &report.Run{})
	require.Error(t, err, "nothing was compared")
}

func TestARunIsKeptAndReadAgain(t *testing.T) {
	t.Parallel()
	r := run([]float64{600, 610}, []float64{1000, 1000}, map[string]float64{"open": 300, "open/p99": 10})
	folder := t.TempDir()
	paths, err := r.Keep(folder)
	require.NoError(t, err)
	require.Len(t, paths, 3)
	base := filepath.Join(folder, "2026-11-21-some-2-ghz-2-cores")
	again, err := report.Read(base + ".json")
	require.NoError(t, err)
	require.Equal(t, r, again)

	text, err := os.ReadFile(base + ".md")
	require.NoError(t, err)
	require.Contains(t, string(text), "| durable claim, 64 connections | ≥ 0.5 | 0.605 | 0.6 – 0.61 | 605 a second | yes |")

	page, err := os.ReadFile(base + ".html")
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(page), "<svg"), "a chart each of ratios, latencies and processor time")
	for _, remote := range []string{"src=", "href=", "@import", "url("} {
		require.NotContains(t, string(page), remote, "it opens without a network")
	}
}

func TestChartsAreDrawn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, run([]float64{600, 610}, []float64{1000, 1000}, map[string]float64{"open": 300}).Draw(folder))
	for _, name := range []string{"ratios", "latency", "processor"} {
		picture, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("bench-%s.png", name)))
		require.NoError(t, err)
		require.Equal(t, "\x89PNG", string(picture[:4]))
	}
	partly := &report.Run{}
	partly.Add("empty/256", "empty handler", "a second", report.Sample{Value: 1, Processor: map[string]float64{"handler": 15}})
	folder = t.TempDir()
	require.NoError(t, partly.Draw(folder))
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 1, "what there are no figures for is left out")
}
