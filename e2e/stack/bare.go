package stack

import "testing"

// Bare is no stack yet: programs can be run with these settings (Run, TryRun, Launch), and none is running.
func Bare(t *testing.T, env ...string) *Stack {
	t.Helper()
	return &Stack{
		Kind: Real, dir: t.TempDir(), secret: Secret,
		env: append([]string{"FIRSTCOME_AUTH_HS256_SECRET=" + Secret, "FIRSTCOME_LOG_FORMAT=text"}, env...),
	}
}

// With is the stack as programs see it that are run with further settings; a later one goes before an earlier.
func (s *Stack) With(env ...string) *Stack {
	other := *s
	other.env = append(append([]string{}, s.env...), env...)
	return &other
}

// Dir is the folder that the programs run in.
func (s *Stack) Dir() string { return s.dir }
