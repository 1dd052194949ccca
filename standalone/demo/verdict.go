package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// verdict is what the demo ends with.
type verdict struct {
	answers  map[string]int
	requests int
	took     time.Duration
	p50, p99 time.Duration
	slowest  time.Duration

	promised, journaled, issued int
	findings                    []finding
	examples                    []string // of what must not have been
}

// finding is one count that has to be 0.
type finding struct {
	name  string
	count int
}

// judge compares what the crowd was told with the books.
func judge(s *storm, b books, took time.Duration) verdict {
	v := verdict{
		answers: s.answers, took: took,
		p50: micros(s.latency.ValueAtQuantile(50)), p99: micros(s.latency.ValueAtQuantile(99)), slowest: micros(s.latency.Max()),
		promised: len(s.promises), journaled: len(b.records), issued: len(b.rows),
	}
	for _, n := range s.answers {
		v.requests += n
	}
	var lost, ghosts int
	for of, seq := range s.promises {
		if b.rows[of] != seq || b.records[of] != seq {
			lost++
			v.examples = append(v.examples, fmt.Sprintf("lost: %s at coupon %d was promised number %d", of.user, of.coupon, seq))
		}
	}
	for of := range b.rows {
		if _, known := b.records[of]; !known {
			ghosts++
		}
	}
	v.examples = append(append(v.examples, s.wrong...), s.silent...)
	v.findings = []finding{
		{"over-issued (rows above a coupon's quantity)", b.overIssued},
		{"doubled (rows above a user's limit)", b.doubled},
		{"lost (promised, and not in journal and ledger)", lost},
		{"never asked for (rows without a record)", ghosts},
		{"one number for two users", b.repeatedSeq},
		{"another number when asked again", s.changed},
		{"sold out with places left", b.notFull},
		{"counters that are off", b.counterOff},
		{"records that could not be booked", b.failed},
		{"answers that do not fit the coupon", len(s.wrong)},
		{"users without an answer", len(s.silent)},
	}
	return v
}

// holds says whether everything is as promised.
func (v verdict) holds() bool {
	return v.promised == v.journaled && v.journaled == v.issued &&
		!slices.ContainsFunc(v.findings, func(f finding) bool { return f.count != 0 })
}

// maxExamples bounds what is printed of a long list.
const maxExamples = 10

// print shows the verdict to a person.
func (v verdict) print(w io.Writer, colored bool) {
	mark := func(ok bool) string {
		switch {
		case ok && colored:
			return text.FgGreen.Sprint("ok")
		case ok:
			return "ok"
		case colored:
			return text.FgRed.Sprint("BROKEN")
		default:
			return "BROKEN"
		}
	}
	t := newTable(w, "what the crowd was told")
	codes := make([]string, 0, len(v.answers))
	for code := range v.answers {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		t.AppendRow(table.Row{code, grouped(v.answers[code])})
	}
	t.AppendFooter(table.Row{"requests", grouped(v.requests)})
	t.Render()

	t = newTable(w, "what the books say")
	t.AppendRow(table.Row{"accepted (promised to a user)", grouped(v.promised), ""})
	t.AppendRow(table.Row{"in Kafka", grouped(v.journaled), mark(v.journaled == v.promised)})
	t.AppendRow(table.Row{"in the ledger", grouped(v.issued), mark(v.issued == v.promised)})
	t.AppendSeparator()
	for _, f := range v.findings {
		t.AppendRow(table.Row{f.name, grouped(f.count), mark(f.count == 0)})
	}
	t.Render()

	t = newTable(w, "how fast (crowd and servers share this machine)")
	t.AppendRow(table.Row{"requests a second", grouped(int(float64(v.requests) / v.took.Seconds()))})
	t.AppendRow(table.Row{"p50", rounded(v.p50)})
	t.AppendRow(table.Row{"p99", rounded(v.p99)})
	t.AppendRow(table.Row{"max", rounded(v.slowest)})
	t.Render()

	for i, example := range v.examples {
		if i == maxExamples {
			say(w, "… and %d more\n", len(v.examples)-maxExamples)
			break
		}
		say(w, "%s\n", example)
	}
	word := "every promise was kept, nothing was issued twice or too often"
	if !v.holds() {
		word = "this must not be: see above"
	}
	say(w, "\nverdict: %s - %s\n", mark(v.holds()), word)
}

func newTable(w io.Writer, title string) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleRounded)
	t.Style().Format.Footer = text.FormatDefault
	t.Style().Title.Align = text.AlignLeft
	t.SetTitle(title)
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 1, WidthMin: 48}, {Number: 2, Align: text.AlignRight, AlignFooter: text.AlignRight, WidthMin: 10},
	})
	return t
}

// grouped writes 12345 as 12,345.
func grouped(n int) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func rounded(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// say prints for people. A terminal that went away is no reason to stop a stack that serves others.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}
