package audit_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/audit"
)

// Corruptions in random mixtures, some of them several times, among coupons with which nothing is wrong.
func TestMixturesOfCorruptionsAreFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	onBooks(t, func(t *testing.T, w *world) {
		all := corruptions()
		names := slices.Sorted(maps.Keys(all))
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			if runs++; runs > 12 && !rt.Failed() { // each writes three books
				return
			}
			w.empty(rt)
			picked := rapid.SliceOfN(rapid.SampledFrom(names), 2, 7).Draw(rt, "corruptions")
			var spoil []func() []string
			for _, name := range picked {
				spoil = append(spoil, all[name](w))
			}
			w.write()
			var want []string
			for _, s := range spoil {
				want = append(want, s()...)
			}
			require.ElementsMatch(rt, want, found(w.verify()), "%v", picked)
		})
	})
}

// What a finding means and what to type stands in the runbook, for each type.
func TestEveryTypeHasItsEntryInTheRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbook.md"))
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Findings\n")
	require.True(t, ok, "docs/runbook.md has a section Findings")
	section, _, _ = strings.Cut(section, "\n## ")
	var entries []string
	for _, m := range regexp.MustCompile("(?m)^### `([a-z_]+)`$").FindAllStringSubmatch(section, -1) {
		entries = append(entries, m[1])
	}
	var types []string
	for _, k := range audit.Kinds() {
		types = append(types, string(k.Type))
	}
	require.ElementsMatch(t, types, entries)
}
