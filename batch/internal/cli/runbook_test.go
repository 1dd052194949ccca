package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever is woken at night types what the runbook says: its commands and their flags are there.
func TestTheRunbooksCommandsAreReal(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	batches, makes := 0, 0
	for _, page := range []string{"runbook.md", "metrics.md", "guarantees.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", page))
		require.NoError(t, err)
		// A line of a block, or what stands between two backticks.
		for _, found := range regexp.MustCompile("(?m)(?:^|`)(batch|make) ([a-z][^`\n#]*)").FindAllStringSubmatch(string(text), -1) {
			args := strings.Fields(found[2])
			if found[1] == "make" {
				makes++
				assert.Regexp(t, `(?m)^([a-z /-]+ )?`+regexp.QuoteMeta(args[0])+`( [a-z /-]+)?:`, string(makefile), "%s: make %s", page, found[2])
				continue
			}
			batches++
			command, rest, err := newRoot(Process{Out: io.Discard, Err: io.Discard}).Find(args)
			require.NoError(t, err, "%s: batch %s", page, found[2])
			require.NotEqual(t, "batch", command.Name(), "%s: batch %s", page, found[2])
			assert.NoError(t, command.ParseFlags(rest), "%s: batch %s", page, found[2])
			assert.Empty(t, command.Flags().Args(), "%s: batch %s", page, found[2])
		}
	}
	assert.Greater(t, batches, 20)
	assert.Positive(t, makes)
}
