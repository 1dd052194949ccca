package ledgertest

import (
	"strings"
	"testing"
)

// Run runs the conformance suite. fresh names a new, empty database of the kind that is tested, which goes away with the
// test. The sections are named after the dangers.
func Run(t *testing.T, fresh func(t *testing.T) string) {
	t.Helper()
	dsn := fresh(t)
	b := desk{book: open(t, dsn, true), dsn: dsn, fresh: fresh, file: strings.HasPrefix(dsn, "sqlite:")}
	for _, section := range []struct {
		danger string
		tests  map[string]func(*testing.T, desk)
	}{
		{"schema", schemaTests},
		{"publishing twice", publishTests},
		{"lookups", refsTests},
		{"duplicates", duplicateTests},
		{"overtaken records", epochTests},
		{"over the cap", capTests},
		{"two coupons of one event", eventTests},
		{"broken and refused records", refusedTests},
		{"lost databases and deadlocks", lossTests},
		{"a database in trouble", troubleTests},
		{"writers at once", crowdTests},
		{"changes at once", changeTests},
		{"rebuilds at once", rebuildTests},
		{"failed events", failedTests},
		{"leases", leaseTests},
		{"wrong counters", recountTests},
		{"reading", readTests},
	} {
		t.Run(section.danger, func(t *testing.T) {
			t.Parallel()
			for name, test := range section.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, b)
				})
			}
		})
	}
}
