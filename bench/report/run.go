// Package report keeps what a run of the harness measured: figures by name, the goals they are held against, and the
// table, the page and the charts made of them.
package report

import (
	"maps"
	"slices"
	"time"
)

// Run is one run of the harness, as its file keeps it.
type Run struct {
	At      time.Time `json:"at"`
	Quick   bool      `json:"quick"` // fewer rounds and smaller crowds
	Commit  string    `json:"commit"`
	Load    string    `json:"load"` // average of the machine before the run, of 1, 5 and 15 minutes: other work
	Machine Machine   `json:"machine"`
	Figures []*Figure `json:"figures"`
	Goals   []Goal    `json:"goals"`
}

// Figure is one thing that was measured, in some rounds.
type Figure struct {
	Name   string   `json:"name"` // never changes: runs are compared by it
	What   string   `json:"what"`
	Unit   string   `json:"unit"`
	Rounds []Sample `json:"rounds"`
}

// Sample is one round.
type Sample struct {
	Value     float64            `json:"value"`
	Latencies map[string]float64 `json:"latencies_ms,omitempty"` // by quantile: "50", "99.9"
	Processor map[string]float64 `json:"processor_us,omitempty"` // for one request, by part: api, redis, …
	Stages    map[string]float64 `json:"stages_ms,omitempty"`    // mean time, by stage
	Notes     map[string]float64 `json:"notes,omitempty"`        // what else was seen, by words with their unit
}

// Add notes a round of a figure.
func (r *Run) Add(name, what, unit string, s Sample) {
	f := r.Figure(name)
	if f == nil {
		f = &Figure{Name: name, What: what, Unit: unit}
		r.Figures = append(r.Figures, f)
	}
	f.Rounds = append(f.Rounds, s)
}

// Figure by its name; nil: it was not measured.
func (r *Run) Figure(name string) *Figure {
	at := slices.IndexFunc(r.Figures, func(f *Figure) bool { return f.Name == name })
	if at < 0 {
		return nil
	}
	return r.Figures[at]
}

// Values of all rounds.
func (f *Figure) Values() []float64 { return f.each(func(s Sample) float64 { return s.Value }) }

// Latency is the median of the rounds' latencies at a quantile, in milliseconds.
func (f *Figure) Latency(q string) float64 {
	return Median(f.each(func(s Sample) float64 { return s.Latencies[q] }))
}

// Processor is the median of the rounds' processor time of a part, in microseconds a request.
func (f *Figure) Processor(part string) float64 { return Median(f.parts(part)) }

func (f *Figure) parts(part string) []float64 {
	return f.each(func(s Sample) float64 { return s.Processor[part] })
}

func (f *Figure) spread() (low, high float64) {
	values := f.Values()
	return slices.Min(values), slices.Max(values)
}

// notes are the medians of what else was seen.
func (f *Figure) notes() (texts []string) {
	for _, note := range keys([]*Figure{f}, func(s Sample) map[string]float64 { return s.Notes }) {
		texts = append(texts, note+": "+number(Median(f.each(func(s Sample) float64 { return s.Notes[note] }))))
	}
	return texts
}

// parts of the processor time, in the order in which a claim meets them.
func parts() []string {
	return []string{"generator", "handler", "api", "redis", "kafka", "consumer", "mysql"}
}

// keys are all that the rounds of some figures have, sorted.
func keys(figures []*Figure, of func(Sample) map[string]float64) []string {
	found := map[string]bool{}
	for _, f := range figures {
		for _, s := range f.Rounds {
			for key := range of(s) {
				found[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (f *Figure) each(of func(Sample) float64) []float64 {
	values := make([]float64, len(f.Rounds))
	for i, s := range f.Rounds {
		values[i] = of(s)
	}
	return values
}

// Median of some values; 0 where there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
