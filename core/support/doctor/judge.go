package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity says what a finding does.
type Severity string

// The severities, the worst first.
const (
	Breaks Severity = "breaks a guarantee" // a role refuses to start, unless the check is allowed by name
	Risky  Severity = "risky"              // nothing promised breaks by it alone; a role says it at its start
	Advice Severity = "advice"             // could be better
	Fine   Severity = "fine"
)

// Result is what one check came to.
type Result struct {
	Name     string   `json:"name"`
	Severity Severity `json:"severity,omitempty"` // empty: unknown
	Want     string   `json:"should_be"`
	Is       string   `json:"is"`
	Risk     string   `json:"risks"`
	Set      string   `json:"set"`
	Unknown  string   `json:"unknown,omitempty"` // why it could not be told

	Away bool `json:"-"` // Unknown is why the server could not be looked at: the same for all of its checks
}

// Report is what all checks of a role came to, in the order of Names.
type Report []Result

// rule is one check. Its texts are what everybody reads: the table of `batch doctor`, a role that refuses to start, and
// the document of the guarantees.
type rule struct {
	name, want, risk, set string
	// applies says whether the facts have the part that the rule looks at, or could have had it; err is why they have not.
	applies func(Facts) (mine bool, err error)
	judge   func(Facts) verdict
}

// verdict is a rule's word on what it found.
type verdict struct {
	severity Severity // empty: unknown
	is       string   // what was found, or why it is not known
}

func fine(format string, args ...any) verdict { return verdict{Fine, fmt.Sprintf(format, args...)} }

func found(s Severity, format string, args ...any) verdict {
	return verdict{s, fmt.Sprintf(format, args...)}
}

func untold(format string, args ...any) verdict { return verdict{is: fmt.Sprintf(format, args...)} }

func rules() []rule {
	return slices.Concat(redisRules(), kafkaRules(), databaseRules(), machineRules())
}

// Names are the names of all checks, in the order of the reports.
func Names() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// Judge checks all that the facts have.
func Judge(f Facts) Report {
	var report Report
	for _, r := range rules() {
		mine, err := r.applies(f)
		if !mine {
			continue
		}
		result := Result{Name: r.name, Want: r.want, Risk: r.risk, Set: r.set}
		if err != nil {
			result.Unknown, result.Away = err.Error(), f.away(err)
			report = append(report, result)
			continue
		}
		v := r.judge(f)
		result.Severity, result.Is = v.severity, v.is
		if v.severity == "" {
			result.Is, result.Unknown = "", v.is
		}
		report = append(report, result)
	}
	return report
}

// away says whether err is why a whole server could not be looked at.
func (f Facts) away(err error) bool {
	return slices.ContainsFunc([]error{f.RedisErr, f.KafkaErr, f.DatabaseErr}, func(server error) bool {
		return server != nil && errors.Is(err, server)
	})
}

// Of are the results of one severity.
func (r Report) Of(s Severity) Report {
	return slices.DeleteFunc(slices.Clone(r), func(x Result) bool { return x.Severity != s })
}

// Unknown are the results that could not be told.
func (r Report) Unknown() Report {
	return slices.DeleteFunc(slices.Clone(r), func(x Result) bool { return x.Unknown == "" })
}

// Without leaves out the checks that are allowed by name.
func (r Report) Without(allowed []string) Report {
	return slices.DeleteFunc(slices.Clone(r), func(x Result) bool { return slices.Contains(allowed, x.Name) })
}

// Only keeps the checks of these names.
func (r Report) Only(names []string) Report {
	return slices.DeleteFunc(slices.Clone(r), func(x Result) bool { return !slices.Contains(names, x.Name) })
}

// Names are the names of the results.
func (r Report) Names() []string {
	names := make([]string, len(r))
	for i, x := range r {
		names[i] = x.Name
	}
	return names
}

// String is one finding in a line.
func (r Result) String() string {
	if r.Unknown != "" {
		return fmt.Sprintf("%s: not known: %s; should be: %s", r.Name, r.Unknown, r.Want)
	}
	return fmt.Sprintf("%s: is: %s; should be: %s; it risks: %s; set it by: %s", r.Name, r.Is, r.Want, r.Risk, r.Set)
}

// RefusedError says why a role does not start.
type RefusedError struct {
	Role     string
	Findings Report // those that break a guarantee and are not allowed
}

func (e *RefusedError) Error() string {
	var b strings.Builder
	things := "one thing breaks a guarantee"
	if n := len(e.Findings); n != 1 {
		things = fmt.Sprintf("%d things break a guarantee", n)
	}
	fmt.Fprintf(&b, "%s does not start: %s", e.Role, things)
	for _, f := range e.Findings {
		b.WriteString("\n  " + f.String())
	}
	fmt.Fprintf(&b, "\n`batch doctor` shows all checks. To start all the same, name what you accept: checks.allow "+
		"(FIRSTCOME_CHECKS_ALLOW=%s)", strings.Join(e.Findings.Names(), ","))
	return b.String()
}
