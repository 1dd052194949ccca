package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// typed runs a command line to its end.
func typed(args ...string) (status int, out, errOut string) {
	var o, e strings.Builder
	status = run(time.Now(), args, &o, &e)
	return status, o.String(), e.String()
}

func TestAWrongCommandLineIsAnsweredInOneLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "standalone: say what to do: run, demo or token; see standalone --help"},
		{[]string{"nothing"}, `standalone: unknown command "nothing" for "standalone"; see standalone --help`},
		{[]string{"--nothing"}, "standalone: unknown flag: --nothing; see standalone --help"},
		{[]string{"run", "--nothing"}, "standalone: unknown flag: --nothing; see standalone run --help"},
		{[]string{"demo", "--users", "0"}, "standalone: --users must be from 1 to 10000000 and --coupons from 1 to 100000; see standalone demo --help"},
		{[]string{"token", "--ttl", "-1h"}, "standalone: --ttl must be 1s or more, such as 1h, and is -1h0m0s; see standalone token --help"},
		{[]string{"token", "--ttl", "0s"}, "standalone: --ttl must be 1s or more, such as 1h, and is 0s; see standalone token --help"},
	} {
		status, out, errOut := typed(c.args...)
		assert.Equal(t, exitUsage, status, "%v", c.args)
		assert.Empty(t, out, "%v", c.args)
		assert.Equal(t, c.want+"\n", errOut, "%v", c.args)
	}
}
