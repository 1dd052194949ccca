package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is one picture; its name is also its file's in the documents.
type chart struct {
	name string
	draw func() (*plot.Plot, error)
}

func (r *Run) charts() []chart {
	return []chart{
		{"bench-ratios", r.ratioChart},
		{"bench-latency", r.latencyChart},
		{"bench-processor", r.processorChart},
	}
}

const (
	width  = 760 * vg.Inch / 96
	height = 400 * vg.Inch / 96
)

// Draw writes the charts as PNG files into a folder. One that there are no figures for is left out.
func (r *Run) Draw(folder string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	for _, c := range r.charts() {
		p, err := c.draw()
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		if err = p.Save(width, height, filepath.Join(folder, c.name+".png")); err != nil {
			return err
		}
	}
	return nil
}

// svg is the chart as text for a page; empty where there are no figures.
func (c chart) svg() (string, error) {
	p, err := c.draw()
	if err != nil || p == nil {
		return "", err
	}
	w, err := p.WriterTo(width, height, "svg")
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	_, err = w.WriteTo(&text)
	// A page has no place for an XML declaration in its middle.
	at := max(bytes.Index(text.Bytes(), []byte("<svg")), 0)
	return text.String()[at:], err
}

func blue() color.Color  { return color.RGBA{R: 0x2f, G: 0x6f, B: 0xb0, A: 0xff} }
func red() color.Color   { return color.RGBA{R: 0xb0, G: 0x30, B: 0x30, A: 0xff} }
func green() color.Color { return color.RGBA{R: 0x20, G: 0x80, B: 0x40, A: 0xff} }

// ratioChart shows the ratios to a limit of the same run, from the least to the greatest round, beside their goals.
func (r *Run) ratioChart() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Ratio to the limit of the same run: bar = median, line = rounds, red = goal"
	p.Y.Min = 0
	var names []string
	var values plotter.Values
	var spreads, wants plotter.XYs
	for _, g := range r.Goals {
		if g.To == "" || g.Stated || g.Want > 1 || g.Want == flat {
			continue
		}
		x := float64(len(names))
		names, values = append(names, g.Name), append(values, g.Median)
		spreads = append(spreads, plotter.XY{X: x, Y: g.Min}, plotter.XY{X: x, Y: g.Max}, plotter.XY{X: x, Y: math.NaN()})
		wants = append(wants, plotter.XY{X: x, Y: g.Want})
	}
	if len(names) == 0 {
		return nil, nil //nolint:nilnil // no figures, no chart
	}
	bars, err := plotter.NewBarChart(values, vg.Points(34))
	if err != nil {
		return nil, err
	}
	bars.Color, bars.LineStyle.Width = blue(), 0
	p.Add(bars)
	for i := 0; i < len(spreads); i += 3 {
		line, err := plotter.NewLine(spreads[i : i+2])
		if err != nil {
			return nil, err
		}
		line.Width = vg.Points(2)
		p.Add(line)
		want, err := plotter.NewLine(plotter.XYs{{X: wants[i/3].X - 0.4, Y: wants[i/3].Y}, {X: wants[i/3].X + 0.4, Y: wants[i/3].Y}})
		if err != nil {
			return nil, err
		}
		want.Color, want.Width = red(), vg.Points(2)
		p.Add(want)
	}
	p.NominalX(names...)
	return p, nil
}

// latencyChart shows the open loop's latencies by quantile, one line a round.
func (r *Run) latencyChart() (*plot.Plot, error) {
	f := r.Figure("open")
	if f == nil {
		return nil, nil //nolint:nilnil // no figures, no chart
	}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("Durable claims at half of the maximum, %.0f a second: latency from when each was due (red: goals)", Median(f.Values()))
	p.X.Label.Text, p.Y.Label.Text = "quantile", "ms"
	p.Y.Min = 0
	quantiles := []float64{50, 75, 90, 95, 99, 99.5, 99.9, 99.99}
	at := func(q float64) float64 { return -math.Log10(1 - q/100) }
	var ticks plot.ConstantTicks
	for _, q := range quantiles {
		ticks = append(ticks, plot.Tick{Value: at(q), Label: strconv.FormatFloat(q, 'f', -1, 64)})
	}
	p.X.Tick.Marker = ticks
	for _, s := range f.Rounds {
		var points plotter.XYs
		for _, q := range quantiles {
			points = append(points, plotter.XY{X: at(q), Y: s.Latencies[strconv.FormatFloat(q, 'f', -1, 64)]})
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = blue(), vg.Points(1.5)
		p.Add(line)
	}
	for _, goal := range []struct{ q, ms float64 }{{99, 20}, {99.9, 50}} {
		point, err := plotter.NewScatter(plotter.XYs{{X: at(goal.q), Y: goal.ms}})
		if err != nil {
			return nil, err
		}
		point.Color, point.Shape, point.Radius = red(), draw.PyramidGlyph{}, vg.Points(6)
		p.Add(point)
	}
	return p, nil
}

// processorChart shows for what a claim needs processors, beside an answer of the empty handler.
func (r *Run) processorChart() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Processor time of a request, µs"
	p.Y.Min = 0
	p.Legend.Top = true
	var names []string
	var figures []*Figure
	for _, of := range []string{"empty/256", "sold-out", "claim/64", "claim/256", "claim/1024", "persisted/64", "persisted/256", "persisted/1024"} {
		if f := r.Figure(of); f != nil {
			names, figures = append(names, of), append(figures, f)
		}
	}
	if len(figures) == 0 {
		return nil, nil //nolint:nilnil // no figures, no chart
	}
	shades := map[string]color.Color{
		"generator": color.Gray{Y: 0xb8}, "handler": color.Gray{Y: 0x70}, "api": blue(), "redis": red(),
		"kafka": color.RGBA{R: 0xd0, G: 0x90, B: 0x30, A: 0xff}, "consumer": green(), "mysql": color.RGBA{R: 0x70, G: 0x50, B: 0xa0, A: 0xff},
	}
	var below *plotter.BarChart
	for _, part := range parts() {
		values := make(plotter.Values, len(figures))
		for i, f := range figures {
			values[i] = f.Processor(part)
		}
		bars, err := plotter.NewBarChart(values, vg.Points(34))
		if err != nil {
			return nil, err
		}
		bars.Color, bars.LineStyle.Width = shades[part], 0
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		p.Add(bars)
		p.Legend.Add(part, bars)
	}
	p.NominalX(names...)
	p.Y.Max *= 1.4 // room for the legend
	return p, nil
}
