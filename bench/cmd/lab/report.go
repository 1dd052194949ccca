package main

import (
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

func rowsOfTable(figures []figure) table.Writer {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"way", "requests/s", "p50 ms", "p99 ms", "over-issued", "doubled",
		"over (kill)", "doubled (kill)", "lost (kill)", "burned (kill)", "never answered (kill)"})
	for _, f := range figures {
		t.AppendRow(table.Row{f.Way, fmt.Sprintf("%.0f", f.PerSecond), fmt.Sprintf("%.1f", f.P50), fmt.Sprintf("%.1f", f.P99),
			f.Peace.Over, f.Peace.Doubled, f.Killed.Over, f.Killed.Doubled, f.Killed.Lost, f.Killed.Burned, f.Killed.Unsure})
	}
	return t
}

func printTable(figures []figure) { fmt.Println(rowsOfTable(figures).Render()) }

// keep writes figures, table and chart.
func (e *experiment) keep(figures []figure) error {
	if err := os.MkdirAll(e.out, 0o750); err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]any{
		"at": time.Now().UTC().Format(time.RFC3339), "cpus": runtime.NumCPU(), "go": runtime.Version(),
		"os": runtime.GOOS + "/" + runtime.GOARCH, "users": e.users, "places": e.places, "connections": e.connections,
		"figures": figures,
	}, "", "  ")
	if err != nil {
		return err
	}
	base := filepath.Join(e.out, "lab-"+time.Now().UTC().Format("2006-01-02"))
	for name, content := range map[string][]byte{
		base + ".json": append(text, '\n'), base + ".md": []byte(rowsOfTable(figures).RenderMarkdown() + "\n"),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	if err := draw(figures, base+".png"); err != nil {
		return err
	}
	fmt.Println("kept in", base+".json, .md and .png")
	return nil
}

// draw shows throughput against wrong issues: who is high and at the left is fast and right. The right-hand axis is
// logarithmic and has a place for none.
func draw(figures []figure, path string) error {
	p := plot.New()
	p.Title.Text = "Requests a second against wrong issues"
	p.X.Label.Text = "over-issued, doubled, lost and burned, in peace and after a kill -9 (log scale, none at the left)"
	p.Y.Label.Text = "requests/s"
	p.Y.Min = 0
	p.X.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 1, Label: "1"}, {Value: 2, Label: "10"}, {Value: 3, Label: "100"}, {Value: 4, Label: "1,000"}}
	for _, f := range figures {
		at := plotter.XYs{{X: position(f.Peace.wrong() + f.Killed.wrong()), Y: f.PerSecond}}
		point, err := plotter.NewScatter(at)
		if err != nil {
			return err
		}
		point.Radius = vg.Points(4)
		point.Color = color.RGBA{R: 0xb0, G: 0x30, B: 0x30, A: 0xff}
		if f.Peace.wrong()+f.Killed.wrong() == 0 {
			point.Color = color.RGBA{R: 0x20, G: 0x80, B: 0x40, A: 0xff}
		}
		label, err := plotter.NewLabels(plotter.XYLabels{XYs: at, Labels: []string{"  " + f.Way}})
		if err != nil {
			return err
		}
		p.Add(point, label)
	}
	p.X.Min, p.X.Max = -0.2, 4.8
	return p.Save(vg.Points(760), vg.Points(460), path)
}

// position on the axis of wrong issues.
func position(n int64) float64 {
	if n == 0 {
		return 0
	}
	return 1 + math.Log10(float64(n))
}
