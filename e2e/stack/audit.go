package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Audit is what `batch verify --json` prints.
type Audit struct {
	Clean    bool `json:"clean"`
	Findings []struct {
		Type     string `json:"type"`
		Severity string `json:"severity"`
		Subject  struct {
			Coupon int64  `json:"coupon"`
			User   string `json:"user"`
			Tag    string `json:"tag"`
			Failed int64  `json:"failed_event"`
		} `json:"subject"`
		Evidence string `json:"evidence"`
		Repair   string `json:"repair"`
	} `json:"findings"`
	LookedAt struct {
		Rows    int64 `json:"rows"`
		Records int64 `json:"records"`
		Holders int64 `json:"holders"`
		Gates   int64 `json:"gates"`
	} `json:"looked_at"`
	Seconds float64 `json:"seconds"`
}

// Users are those that findings of a type are about, in their order.
func (a Audit) Users(of string) (users []string) {
	for _, f := range a.Findings {
		if f.Type == of {
			users = append(users, f.Subject.User)
		}
	}
	return users
}

// Batch runs a command of batch on the stack's servers, the embedded ones too, and returns what it printed and its status.
func (s *Stack) Batch(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, "batch"), args...) //nolint:gosec // a program of this workspace
	cmd.Env, cmd.Dir = append(append(cleanEnv(), s.env...), s.embedded...), s.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit, "batch %v", args)
	}
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	}
	return out.String(), errs.String(), status
}

// Verify has the books compared. Its status is checked against what was found.
func (s *Stack) Verify(t *testing.T, settle string) Audit {
	t.Helper()
	out, errs, status := s.Batch(t, "verify", "--json", "--settle", settle)
	var a Audit
	require.NoError(t, json.Unmarshal([]byte(out), &a), "status %d: %s\n%s", status, out, errs)
	want := 0
	if !a.Clean {
		want = 1
	}
	require.Equal(t, want, status, errs)
	return a
}
