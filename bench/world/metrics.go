package world

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Metrics are a role's own numbers by name with labels, as /metrics shows them: `firstcome_x_sum{call="admit"}`.
type Metrics map[string]float64

// Metrics reads the firstcome_… numbers of a role.
func (r *Role) Metrics(ctx context.Context) (Metrics, error) {
	text, err := get(ctx, r.Ops+"/metrics")
	if err != nil {
		return nil, err
	}
	found := Metrics{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || !strings.HasPrefix(line, "firstcome_") {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("%s/metrics: %q", r.Ops, line)
		}
		found[line[:at]] = value
	}
	return found, nil
}

// Sum adds the numbers of a name over all labels that contain each of these texts.
func (m Metrics) Sum(name string, labels ...string) (sum float64) {
next:
	for key, value := range m {
		of, with, _ := strings.Cut(key, "{")
		if of != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(with, label) {
				continue next
			}
		}
		sum += value
	}
	return sum
}

// Mean of a histogram between two looks; 0 where nothing came.
func Mean(before, after Metrics, name string, labels ...string) float64 {
	n := after.Sum(name+"_count", labels...) - before.Sum(name+"_count", labels...)
	if n <= 0 {
		return 0
	}
	return (after.Sum(name+"_sum", labels...) - before.Sum(name+"_sum", labels...)) / n
}
