package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// LookedAt is how much was read.
type LookedAt struct {
	Rows    int64 `json:"rows"`
	Records int64 `json:"records"`
	Holders int64 `json:"holders"`
	Gates   int64 `json:"gates"`
}

// Report is what an audit came to.
type Report struct {
	Clean    bool           `json:"clean"`
	Findings []Finding      `json:"findings"`
	Counts   map[Type]int64 `json:"counts"` // all findings of each type, those left out of the list too
	LookedAt LookedAt       `json:"looked_at"`
	Notes    []string       `json:"notes,omitempty"` // what could not be judged, and why
	Seconds  float64        `json:"seconds"`
}

// Count is how many findings there are of a type.
func (r Report) Count(t Type) int64 { return r.Counts[t] }

// Of are the findings of some types.
func (r Report) Of(types ...Type) []Finding {
	var list []Finding
	for _, f := range r.Findings {
		if slices.Contains(types, f.Type) {
			list = append(list, f)
		}
	}
	return list
}

func (p *pass) report(began time.Time) Report {
	rank := map[Type]int{}
	for i, k := range Kinds() {
		rank[k.Type] = i
	}
	list := slices.Clone(p.found.list)
	slices.SortFunc(list, func(a, b Finding) int { return cmp.Or(rank[a.Type]-rank[b.Type], strings.Compare(a.key(), b.key())) })
	if list == nil {
		list = []Finding{}
	}
	return Report{
		Clean: len(list) == 0, Findings: list, Counts: p.found.counts, LookedAt: p.looked, Notes: p.notes,
		Seconds: time.Since(began).Seconds(),
	}
}
