package report

import (
	"fmt"
	"slices"
)

// Goal is one thing that a run is held against, and what came of it. Of and To name figures.
type Goal struct {
	Name string `json:"name"` // never changes: runs are compared by it
	What string `json:"what"`
	Of   string `json:"of"`
	To   string `json:"to,omitempty"`   // the ratio's lower half; empty: the value itself
	Part string `json:"part,omitempty"` // of the processor time, instead of the value
	Base string `json:"base,omitempty"` // the same for To

	Less bool    `json:"less"`           // less is better
	Want float64 `json:"want,omitempty"` // at least, or at most; 0 with Stated: no goal
	// Stated is shown and compared with other runs, and held against nothing.
	Stated bool `json:"stated,omitempty"`

	Rounds   []float64 `json:"rounds"`
	Median   float64   `json:"median"`
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Absolute float64   `json:"absolute"` // median of the figure itself
	Unit     string    `json:"unit"`     // of Absolute
	Met      bool      `json:"met"`
}

// goals are all of them, without outcomes.
func goals() []Goal {
	all := []Goal{
		{Name: "claim/64", What: "durable claim, 64 connections", Of: "claim/64", To: "empty/64", Want: 0.50},
		{Name: "claim/256", What: "the same, 256 connections", Of: "claim/256", To: "empty/256", Want: 0.60},
		{Name: "claim/1024", What: "the same, 1,024 connections", Of: "claim/1024", To: "empty/1024", Want: 0.60},
		{Name: "persisted/256", What: "durable claim with its row, 256 connections", Of: "persisted/256", To: "empty/256", Want: 0.33},
		{Name: "sold-out", What: "refusals of a sold-out coupon, 256 connections", Of: "sold-out", To: "empty/256", Want: 0.85},
		{Name: "lock", What: "durable claim with its row to one under the laboratory's Redis lock, 64 connections", Of: "persisted/64", To: "lock", Want: 20},
		{Name: "open/p99", What: "p99 at half of the maximum, open loop", Of: "open/p99", Less: true, Want: 20},
		{Name: "open/p99.9", What: "p99.9 at half of the maximum, open loop", Of: "open/p99.9", Less: true, Want: 50},
		{Name: "drain", What: "drain of a full topic, to bulk insert alone", Of: "drain", To: "rows", Want: 0.50},
		{Name: "memory", What: "Redis memory of an admitted user", Of: "memory", Less: true, Want: 100},
		{Name: "memory/event", What: "the same, coupon of an event", Of: "memory/event", Less: true, Want: 170},
		{Name: "issued/p99", What: "accepted to issued at half of the maximum, p99", Of: "issued/p99", Less: true, Want: 250},
		{Name: "fairness", What: "users overtaken by who asked more than 50 ms later, two apis", Of: "fairness", Less: true, Want: 0},
		{Name: "fairness/largest", What: "the largest inversion, two apis", Of: "fairness/largest", Less: true, Stated: true},
		{Name: "sold-out/bytes", What: "refusals to an empty handler that answers the same bytes", Of: "sold-out", To: "empty/refusal", Stated: true},
		{Name: "persisted/64", What: "durable claim with its row, 64 connections", Of: "persisted/64", To: "empty/64", Stated: true},
		{Name: "persisted/1024", What: "durable claim with its row, 1,024 connections", Of: "persisted/1024", To: "empty/1024", Stated: true},
	}
	for _, n := range []int{64, 256, 1024} {
		all = append(all, Goal{
			Name: fmt.Sprintf("processor/%d", n), What: fmt.Sprintf("processor time of the api for a claim, to the empty handler's, %d connections", n),
			Of: fmt.Sprintf("claim/%d", n), To: fmt.Sprintf("empty/%d", n), Part: "api", Base: "handler", Less: true, Stated: true,
		})
	}
	for _, n := range []string{"100000", "10000000"} {
		all = append(all, Goal{Name: "holders/" + n, What: "claims with " + n + " holders, to those with 1000", Of: "holders/" + n, To: "holders/1000", Want: flat})
	}
	for _, n := range []string{"1000", "100000"} {
		all = append(all, Goal{Name: "coupons/" + n, What: "claims with " + n + " coupons open, to those with 1", Of: "coupons/" + n, To: "coupons/1", Want: flat})
	}
	return all
}

// flat is the ratio from which on two rates are the same within the noise of a shared machine.
const flat = 0.9

// Judge works out the goals that the run has figures for.
func (r *Run) Judge() {
	r.Goals = nil
	for _, g := range goals() {
		if g.judge(r) {
			r.Goals = append(r.Goals, g)
		}
	}
}

func (g *Goal) judge(r *Run) bool {
	of := r.Figure(g.Of)
	if of == nil {
		return false
	}
	values, unit := of.Values(), of.Unit
	if g.Part != "" {
		values, unit = of.parts(g.Part), "µs"
	}
	g.Rounds, g.Absolute, g.Unit = values, Median(values), unit
	if g.To != "" {
		to := r.Figure(g.To)
		if to == nil {
			return false
		}
		base := to.Values()
		if g.Base != "" {
			base = to.parts(g.Base)
		}
		g.Rounds = ratios(values, base)
	}
	g.Median, g.Min, g.Max = Median(g.Rounds), slices.Min(g.Rounds), slices.Max(g.Rounds)
	g.Met = g.Stated || (g.Less && g.Median <= g.Want) || (!g.Less && g.Median >= g.Want)
	return true
}

// ratios are those of neighbours in time where both were measured in turns, else to the median.
func ratios(values, base []float64) []float64 {
	all := make([]float64, len(values))
	for i, value := range values {
		if len(base) == len(values) {
			all[i] = value / base[i]
		} else {
			all[i] = value / Median(base)
		}
	}
	return all
}
