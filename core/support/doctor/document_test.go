package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/doctor"
)

// Each check stands beside the assumption that it is for, and no assumption names a check that is not there.
func TestTheDocumentOfTheGuaranteesNamesTheseChecks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guarantees.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "## What all of them rest on")
	require.True(t, found)
	section, _, found = strings.Cut(section, "\n## ")
	require.True(t, found)
	var named []string
	for _, m := range regexp.MustCompile("`((?:redis|kafka|database|clock|host)_[a-z_]+)`").FindAllStringSubmatch(section, -1) {
		named = append(named, m[1])
	}
	slices.Sort(named)
	want := doctor.Names()
	slices.Sort(want)
	assert.Equal(t, want, named)
}
