package chaos

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/faults"
)

// kindLine is a line of the table.
type kindLine struct {
	kind          string
	by            string
	planned       int
	effective     int
	recovered     []time.Duration // after the end of the fault
	sinceInjected []time.Duration
	late          int
}

func (r *Report) lines() []kindLine {
	var lines []kindLine
	for _, k := range faults.Kinds() {
		l := kindLine{kind: k.Kind}
		for _, o := range r.Outcomes {
			if o.Kind != k.Kind {
				continue
			}
			l.planned++
			by := map[faults.Recovery]string{faults.ByClaims: "claim", faults.ByRows: "row", faults.ByReady: "ready"}[k.Recovery(o.Target)]
			if l.by != "" && l.by != by {
				by = "its"
			}
			l.by = by
			switch {
			case !o.Effective:
			case o.Recovered.IsZero():
				l.effective++
				l.late++
			default:
				l.effective++
				l.recovered = append(l.recovered, o.Recovered.Sub(o.Healed))
				l.sinceInjected = append(l.sinceInjected, o.Recovered.Sub(o.Injected))
			}
		}
		if l.planned > 0 {
			slices.Sort(l.recovered)
			slices.Sort(l.sinceInjected)
			lines = append(lines, l)
		}
	}
	return lines
}

// median and worst of sorted times, in seconds.
func median(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", (d[(len(d)-1)/2]+d[len(d)/2]).Seconds()/2)
}

func worst(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", d[len(d)-1].Seconds())
}

// effective counts the faults that took effect.
func (r *Report) effective() (n int) {
	for _, o := range r.Outcomes {
		if o.Effective {
			n++
		}
	}
	return n
}

// Command repeats the run.
func (r *Report) Command() string {
	return fmt.Sprintf("make chaos FAULTS=%d SEED=%d", r.Faults, r.Seed)
}

const (
	tableForm = "%-26s %-6s %6s %10s   %8s %8s   %8s %8s   %s\n"
	lineForm  = "%-26s %-6s %6d %10d   %8s %8s   %8s %8s   %s\n"
)

// Print writes the report for a terminal.
func (r *Report) Print(w io.Writer) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	say("\n%-26s %-6s %6s %10s   %17s   %17s\n", "", "", "", "", "after its end, s", "from its begin, s")
	say(tableForm, "fault", "until", "begun", "effective", "median", "worst", "median", "worst", "")
	for _, l := range r.lines() {
		late := ""
		if l.late > 0 {
			late = fmt.Sprintf("%d not within %.0f s", l.late, recoverWithin.Seconds())
		}
		say(lineForm, l.kind, l.by, l.planned, l.effective, median(l.recovered), worst(l.recovered),
			median(l.sinceInjected), worst(l.sinceInjected), late)
	}
	say("%-26s %-6s %6d %10d\n", "all", "", len(r.Outcomes), r.effective())
	say("until: claims are answered for good (claim), claims become rows (row), the role is ready (ready), whichever is its concern (its)\n")
	if n := r.effective(); n < r.Faults {
		say("only %d of %d faults took effect\n", n, r.Faults)
	}
	for _, o := range r.ineffective() {
		say("  took no effect: %s: %s\n", o.Step, o.Evidence)
	}
	for _, line := range r.facts() {
		say("%s\n", line)
	}
	r.printFindings(say)
	if r.Holds() {
		say("\nverdict: all is kept: nothing lost, nothing over-issued, nothing doubled\n")
	} else {
		say("\nverdict: BROKEN, see above\n")
	}
	say("repeat: %s\n", r.Command())
}

// maxIneffective bounds the list of faults that took no effect; the table counts all.
const maxIneffective = 20

func (r *Report) ineffective() (some []Outcome) {
	for _, o := range r.Outcomes {
		if !o.Effective && len(some) < maxIneffective {
			some = append(some, o)
		}
	}
	return some
}

// facts are lines about what happened around the faults.
func (r *Report) facts() []string {
	told := make([]string, 0, len(r.Told))
	for what := range r.Told {
		told = append(told, what)
	}
	slices.SortFunc(told, func(a, b string) int { return cmp.Or(cmp.Compare(r.Told[b], r.Told[a]), cmp.Compare(a, b)) })
	for i, what := range told {
		told[i] = fmt.Sprintf("%s %d", what, r.Told[what])
	}
	starts := make([]string, 0, len(r.Starts))
	for role, n := range r.Starts {
		starts = append(starts, fmt.Sprintf("%s %d", role, n))
	}
	slices.Sort(starts)
	return []string{
		fmt.Sprintf("clients: %d questions, %d places promised; %s", r.Asked, r.Promised, strings.Join(told, ", ")),
		fmt.Sprintf("books: %d coupons, %d rows, %d records, failed events by reason %v", r.Books.Coupons, r.Books.Rows, r.Books.Records, r.Books.Failed),
		r.Verify,
		fmt.Sprintf("starts: %s", strings.Join(starts, ", ")),
		fmt.Sprintf("time: %.0f s in all, at rest %.1f s after the last fault was over", r.Ended.Sub(r.Began).Seconds(), r.RestTook.Seconds()),
	}
}

func (r *Report) printFindings(say func(string, ...any)) {
	if r.Unrest != "" {
		say("\nNOT AT REST after %.0f s: %s\n", r.RestTook.Seconds(), r.Unrest)
	}
	for _, b := range r.Broken {
		say("\nTHE HARNESS could not end a fault: %s\n", b)
	}
	if len(r.Books.Count) > 0 {
		say("\nBROKEN by the books: %v\n", r.Books.Count)
		for _, f := range r.Books.Findings {
			say("  %s: %s\n", f.Rule, f.Evidence)
		}
	}
	if len(r.Found) > 0 {
		say("\nBROKEN by the clients' history: %v\n", r.Found)
		for _, v := range r.Kept {
			say("  %s\n", v)
		}
	}
}

// Markdown writes the report as a page to keep.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format, args...) }
	say("# %d faults, %s\n\n", len(r.Outcomes), r.Began.UTC().Format("2006-01-02"))
	say("`%s`, %s, %d of the faults took effect. ", r.Command(), machine(), r.effective())
	if r.Holds() {
		say("Nothing was lost, nothing over-issued, nothing doubled.\n\n")
	} else {
		say("**Something was broken**, see below.\n\n")
	}
	say("Two apis, two consumers and two batches as processes on a Kafka, a Redis with a replica and a MySQL of their own, every\n")
	say("connection through a proxy. A fault that met nobody is begun and not effective. Seconds until claims on the coupons concerned\n")
	say("were answered for good again (claim), new claims became rows (row), or the role said that it was ready (ready), or\n")
	say("whichever of them the connection was for (its); other\n")
	say("faults went on meanwhile.\n\n")
	say("| fault | until | begun | effective | after its end: median | worst | from its begin: median | worst |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, l := range r.lines() {
		say("| %s | %s | %d | %d | %s | %s | %s | %s |\n", l.kind, l.by, l.planned, l.effective,
			median(l.recovered), worst(l.recovered), median(l.sinceInjected), worst(l.sinceInjected))
	}
	say("| all | | %d | %d | | | | |\n\n", len(r.Outcomes), r.effective())
	for _, l := range r.lines() {
		if l.late > 0 {
			say("- %s: %d had not recovered within %.0f s, while other faults went on.\n", l.kind, l.late, recoverWithin.Seconds())
		}
	}
	for _, line := range r.facts() {
		say("- %s\n", line)
	}
	if !r.Holds() {
		say("\n```\n")
		r.printFindings(say)
		say("```\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// machine describes where the run was.
func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
