package report

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Markdown is the goals and the figures as tables.
func (r *Run) Markdown() string {
	return fmt.Sprintf("# Measured on %s\n\n%s\n\n%s\n\n## All figures\n\n%s\n\n## Processor time of a request\n\n%s\n\n## Time in each stage\n\n%s\n",
		r.At.Format("2 January 2006"), r.about(), r.GoalTable().RenderMarkdown(), r.figureTable().RenderMarkdown(),
		r.processorTable().RenderMarkdown(), r.stageTable().RenderMarkdown())
}

// about is what the figures were taken on.
func (r *Run) about() string {
	m := r.Machine
	kind := "A full run"
	if r.Quick {
		kind = "A quick run"
	}
	return fmt.Sprintf("%s of commit %s on %d × %s, %s, %s; Redis %s, Kafka %s, %s. Everything ran on these cores, the load generator "+
		"too; load average before the run %s. Ratios are of neighbours in time; machines differ, so compare ratios.",
		kind, r.Commit, m.Cores, m.Processor, m.OS, m.Go, m.Redis, m.Kafka, m.Database, r.Load)
}

// GoalTable is the goals with what came of them.
func (r *Run) GoalTable() table.Writer {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"what", "goal", "median", "spread", "absolute", "met"})
	for _, g := range r.Goals {
		t.AppendRow(table.Row{g.What, g.goal(), number(g.Median), number(g.Min) + " – " + number(g.Max), number(g.Absolute) + " " + g.Unit, g.verdict()})
	}
	return t
}

func (g *Goal) goal() string {
	unit := ""
	if g.To == "" {
		unit = " " + g.Unit
	}
	switch {
	case g.Stated:
		return "–"
	case g.Less && g.Want == 0:
		return "none"
	case g.Less:
		return "≤ " + number(g.Want) + unit
	default:
		return "≥ " + number(g.Want)
	}
}

func (g *Goal) verdict() string {
	switch {
	case g.Stated:
		return ""
	case g.Met:
		return "yes"
	default:
		return "**no**"
	}
}

func (r *Run) figureTable() table.Writer {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"name", "what", "median", "spread", "unit", "p50 ms", "p99 ms", "p99.9 ms", "rounds", "seen beside it"})
	for _, f := range r.Figures {
		low, high := f.spread()
		row := table.Row{f.Name, f.What, number(Median(f.Values())), number(low) + " – " + number(high), f.Unit}
		for _, q := range []string{"50", "99", "99.9"} {
			text := ""
			if f.Latency(q) > 0 {
				text = number(f.Latency(q))
			}
			row = append(row, text)
		}
		t.AppendRow(append(row, len(f.Rounds), strings.Join(f.notes(), "; ")))
	}
	return t
}

// processorTable has a line for each figure with parts.
func (r *Run) processorTable() table.Writer {
	return r.byKey("µs of", parts(), func(s Sample) map[string]float64 { return s.Processor })
}

// stageTable has a line for each figure that the roles told of.
func (r *Run) stageTable() table.Writer {
	return r.byKey("mean ms of", keys(r.Figures, func(s Sample) map[string]float64 { return s.Stages }),
		func(s Sample) map[string]float64 { return s.Stages })
}

func (r *Run) byKey(title string, columns []string, of func(Sample) map[string]float64) table.Writer {
	t := table.NewWriter()
	header := table.Row{title}
	for _, column := range columns {
		header = append(header, column)
	}
	t.AppendHeader(header)
	for _, f := range r.Figures {
		if len(keys([]*Figure{f}, of)) == 0 {
			continue
		}
		row := table.Row{f.What}
		for _, column := range columns {
			text := ""
			if value := Median(f.each(func(s Sample) float64 { return of(s)[column] })); value > 0 {
				text = number(value)
			}
			row = append(row, text)
		}
		t.AppendRow(row)
	}
	return t
}

// number has three digits that count.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.3g", x)
	}
}
