package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAWrongCommandLineIsAnsweredInOneLine(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"--nothing": "consumer: flag provided but not defined: -nothing; see consumer --help\n",
		"nothing":   "consumer: unknown argument \"nothing\"; see consumer --help\n",
	} {
		var out, errOut strings.Builder
		assert.Equal(t, 2, run([]string{arg}, &out, &errOut))
		assert.Equal(t, want, errOut.String())
		assert.Empty(t, out.String())
	}
	var out, errOut strings.Builder
	assert.Zero(t, run([]string{"--help"}, &out, &errOut))
	assert.Contains(t, out.String(), "  -config ")
	assert.Contains(t, out.String(), "kafka.brokers")
	assert.Empty(t, errOut.String())
}
