package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// verifyReport is what `batch verify --json` prints.
type verifyReport struct {
	Clean    bool             `json:"clean"`
	Counts   map[string]int64 `json:"counts"`
	Findings []struct {
		Type     string          `json:"type"`
		Subject  json.RawMessage `json:"subject"`
		Evidence string          `json:"evidence"`
	} `json:"findings"`
	LookedAt json.RawMessage `json:"looked_at"`
	Seconds  float64         `json:"seconds"`
}

// Verify has the product's own auditor look, keeps what it says in a file, and adds its findings to those of the books.
// summary is one line.
func (r *Result) Verify(verify *exec.Cmd, keep string) (summary string, err error) {
	var complaint *exec.ExitError
	said, err := verify.Output()
	looked := err == nil || errors.As(err, &complaint) && complaint.ExitCode() == 1 // 1: findings
	if !looked {
		if complaint != nil {
			err = fmt.Errorf("%w\n%s", err, complaint.Stderr)
		}
		return "", fmt.Errorf("batch verify: %w", err)
	}
	if err = os.WriteFile(keep, said, 0o600); err != nil {
		return "", err
	}
	var v verifyReport
	if err = json.Unmarshal(said, &v); err != nil {
		return "", fmt.Errorf("batch verify: %w", err)
	}
	if v.Clean != (complaint == nil) || v.Clean != (len(v.Findings) == 0) {
		return "", fmt.Errorf("batch verify: status %d, clean %v and %d findings do not fit", verify.ProcessState.ExitCode(), v.Clean, len(v.Findings))
	}
	for _, f := range v.Findings {
		r.found("verify: "+f.Type, "%s: %s", f.Subject, f.Evidence)
	}
	if v.Clean {
		return fmt.Sprintf("batch verify: clean, looked at %s in %.1f s", v.LookedAt, v.Seconds), nil
	}
	return fmt.Sprintf("batch verify: findings %v, all of them in %s", v.Counts, keep), nil
}
