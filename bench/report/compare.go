package report

import (
	"fmt"
	"io"
)

// least is the tolerance of runs without any spread: single rounds differ by that much on a quiet machine.
const least = 0.05

// Compare writes a line for each goal that both runs have, and says which became worse by more than the rounds of the two
// differ among themselves.
func Compare(out io.Writer, before, after *Run) (worse []string, err error) {
	if before.Quick != after.Quick {
		_, err = fmt.Fprintln(out, "One of the two runs is quick: its crowds were smaller.")
	}
	if before.Machine.Slug() != after.Machine.Slug() {
		_, err = fmt.Fprintln(out, "The runs are of two machines: the ratios can be compared, the absolute figures cannot.")
	}
	if err != nil {
		return nil, err
	}
	compared := 0
	for _, b := range before.Goals {
		a := after.goal(b.Name)
		if a == nil {
			if _, err = fmt.Fprintf(out, "%-18s not measured any more\n", b.Name); err != nil {
				return nil, err
			}
			continue
		}
		compared++
		word := "the same within the rounds"
		switch change, tolerance := b.change(a); {
		case change > tolerance:
			word = "WORSE"
			worse = append(worse, b.Name)
		case change < -tolerance:
			word = "better"
		}
		if _, err = fmt.Fprintf(out, "%-18s %10.4g → %-10.4g %s\n", b.Name, b.Median, a.Median, word); err != nil {
			return nil, err
		}
	}
	if compared == 0 {
		return nil, fmt.Errorf("the two runs have no goal in common")
	}
	return worse, nil
}

func (r *Run) goal(name string) *Goal {
	for i := range r.Goals {
		if r.Goals[i].Name == name {
			return &r.Goals[i]
		}
	}
	return nil
}

// change is by which part of what it was the goal became worse, and how much of that the spreads of both runs explain.
// What was nothing becomes worse by being more than wanted.
func (g *Goal) change(now *Goal) (worse, tolerance float64) {
	if g.Median == 0 {
		return now.Median, now.Want
	}
	worse = (g.Median - now.Median) / g.Median
	if g.Less {
		worse = -worse
	}
	return worse, max(least, (g.Max-g.Min)/2/g.Median+(now.Max-now.Min)/2/g.Median)
}
