package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// result is what one `go test` said.
type result struct {
	passed  int    // tests, subtests too
	failed  string // the innermost test that failed first
	said    string // its words, in one line
	noBuild bool
}

// test runs one target in the copy, on the server of the variable needs, if there is one, and on no other that the
// environment names. -trimpath lets all copies share what the build cache has.
func (t *tree) test(ctx context.Context, wanted target, needs string) result {
	// Neither vet nor debugging information: most of a row's time is compiling and linking.
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-trimpath", "-vet=off", "-ldflags=-s -w", //nolint:gosec // targets of the list
		"-count=1", "-timeout=8m", "-run", wanted.run, wanted.pkg)
	cmd.Dir = t.root
	cmd.Env = []string{"CGO_ENABLED=0"}
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !strings.HasPrefix(name, "FIRSTCOME_") || name == needs {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	r := read(text.Bytes())
	if err != nil && r.failed == "" && !r.noBuild {
		r.failed, r.said = wanted.pkg, short(text.String()) // a package that failed outside of its tests
	}
	return r
}

type event struct{ Action, ImportPath, Package, Test, Output string }

// read finds the first failure in the events of go test -json: of nested tests the innermost, which is told first.
func read(text []byte) result {
	var r result
	outputs := map[string]*strings.Builder{}
	for line := range bytes.Lines(text) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue // stderr
		}
		id := e.ImportPath + e.Package + " " + e.Test
		if outputs[id] == nil {
			outputs[id] = &strings.Builder{}
		}
		switch e.Action {
		case "output", "build-output":
			_, _ = outputs[id].WriteString(e.Output) // never fails, by its documentation
		case "build-fail":
			r.noBuild, r.said = true, short(outputs[id].String())
		case "pass":
			if e.Test != "" {
				r.passed++
			}
		case "fail":
			if e.Test != "" && r.failed == "" {
				r.failed, r.said = e.Test, complaint(outputs[id].String())
			}
		}
	}
	return r
}

var (
	assertion = regexp.MustCompile(`(?s)Error:[ \t]+(.*?)\n[ \t]+(?:Test|Messages):`)
	message   = regexp.MustCompile(`Messages:[ \t]+(.*)`)
)

// complaint is what a failing test said: the assertion's error and message, or what else it printed.
func complaint(output string) string {
	if found := assertion.FindStringSubmatch(output); found != nil {
		text := found[1]
		if m := message.FindStringSubmatch(output); m != nil {
			text = m[1] + ": " + text
		}
		return short(text)
	}
	var lines []string
	for line := range strings.Lines(output) {
		if trimmed := strings.TrimSpace(line); !strings.HasPrefix(trimmed, "=== ") && !strings.HasPrefix(trimmed, "--- ") {
			lines = append(lines, line)
		}
	}
	return short(strings.Join(lines, " "))
}

// short is a text in one line of at most 160 characters.
func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 160 {
		return string(runes[:159]) + "…"
	}
	return text
}
