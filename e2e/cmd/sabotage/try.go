package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// verdict is what became of a sabotage.
type verdict string

const (
	caught     verdict = "is caught"
	survived   verdict = "SURVIVES: a test is missing"
	noFit      verdict = "DOES NOT FIT: the code has changed, and the list must"
	noBuild    verdict = "DOES NOT COMPILE"
	noBaseline verdict = "PROVES NOTHING: its test fails without it"
	leftOut    verdict = "is left out"
)

// outcome is one line of the table.
type outcome struct {
	name    string
	verdict verdict
	test    string // that caught it
	said    string
	took    time.Duration
}

func (o outcome) line() string {
	text := fmt.Sprintf("%-45s %5.1f s  ", o.name, o.took.Seconds())
	if o.verdict == caught {
		return text + o.test + ": " + o.said
	}
	return text + string(o.verdict) + ": " + o.said
}

// wider is what is asked when the tests that are meant to catch a sabotage do not.
func wider() []target {
	return []target{{"./core/...", "."}, {"./consumer/...", "."}, {"./api/...", "."}, {"./batch/...", "."}, {"./standalone/...", "."}}
}

// try works through the rows with several copies of the repository at once and tells of each as it ends.
func try(ctx context.Context, o options, rows []sabotage, tell func(outcome)) ([]outcome, error) {
	base, err := os.MkdirTemp("", "firstcome-sabotage-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(base) //nolint:errcheck // a temporary folder: what stays is the system's to clean
	files, err := filesOf(ctx, o.root)
	if err != nil {
		return nil, err
	}
	var copies []*tree
	for i := range max(1, min(o.workers, len(rows))) {
		t := &tree{root: filepath.Join(base, fmt.Sprint(i))}
		if err := t.fill(o.root, files); err != nil {
			return nil, err
		}
		copies = append(copies, t)
	}

	broken := baseline(ctx, copies, rows)
	var mu sync.Mutex
	var outcomes []outcome
	share(copies, rows, func(t *tree, s sabotage) {
		began := time.Now()
		result := t.try(ctx, s, broken)
		result.name, result.took = s.name, time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		outcomes = append(outcomes, result)
		tell(result)
	})
	return outcomes, ctx.Err()
}

// share hands the work out to the copies, one piece at a time each.
func share[W any](copies []*tree, work []W, do func(*tree, W)) {
	var workers sync.WaitGroup
	next := make(chan W)
	for _, t := range copies {
		workers.Go(func() {
			for w := range next {
				do(t, w)
			}
		})
	}
	for _, w := range work {
		next <- w
	}
	close(next)
	workers.Wait()
}

// baseline runs the narrow tests on the unbroken copies and says of which packages they fail: a test that fails without
// the sabotage has caught nothing. Tests of one package share a run.
func baseline(ctx context.Context, copies []*tree, rows []sabotage) map[string]string {
	var runs []target
	needs := map[string]string{}
	for _, s := range rows {
		if s.missing() {
			continue
		}
		if s.needs != "" {
			needs[s.tests[0].pkg] = s.needs
		}
		for _, t := range s.tests {
			top, _, _ := strings.Cut(t.run, "/")
			at := slices.IndexFunc(runs, func(r target) bool { return r.pkg == t.pkg })
			switch {
			case at < 0:
				runs = append(runs, target{t.pkg, top})
			case !strings.Contains(runs[at].run, top):
				runs[at].run += "|" + top
			}
		}
	}
	broken := map[string]string{}
	var mu sync.Mutex
	share(copies, runs, func(t *tree, wanted target) {
		r := t.test(ctx, wanted, needs[wanted.pkg])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.failed != "":
			broken[wanted.pkg] = r.failed + ": " + r.said
		case r.passed == 0:
			broken[wanted.pkg] = "no test ran: " + r.said
		}
	})
	return broken
}

// missing says whether the row needs a server that nobody named.
func (s sabotage) missing() bool { return s.needs != "" && os.Getenv(s.needs) == "" }

// tree is one copy of the repository.
type tree struct{ root string }

// filesOf are the repository's files as they are now, also those that git does not know yet.
func filesOf(ctx context.Context, root string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", root, err)
	}
	return strings.Split(strings.Trim(string(text), "\x00"), "\x00"), nil
}

func (t *tree) fill(from string, files []string) error {
	for _, name := range files {
		info, err := os.Stat(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // git knows it still, the folder does not
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(from, name)) //nolint:gosec // a file of this repository
		if err != nil {
			return err
		}
		to := filepath.Join(t.root, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, info.Mode().Perm()); err != nil { //nolint:gosec // a name that git gave, below the copy
			return err
		}
	}
	return nil
}

// try breaks the copy, asks the tests and mends it.
func (t *tree) try(ctx context.Context, s sabotage, broken map[string]string) outcome {
	if s.missing() {
		return outcome{verdict: leftOut, said: s.needs + " names no server"}
	}
	for _, wanted := range s.tests {
		if why := broken[wanted.pkg]; why != "" {
			return outcome{verdict: noBaseline, said: why}
		}
	}
	mend, err := t.apply(s.edits)
	defer mend()
	if err != nil {
		return outcome{verdict: noFit, said: err.Error()}
	}
	for _, wanted := range slices.Concat(s.tests, wider()) {
		r := t.test(ctx, wanted, s.needs)
		switch {
		case ctx.Err() != nil:
			return outcome{verdict: leftOut, said: "stopped"}
		case r.noBuild:
			return outcome{verdict: noBuild, said: r.said}
		case r.failed != "":
			return outcome{verdict: caught, test: r.failed, said: r.said}
		}
	}
	return outcome{verdict: survived, said: "every test passes"}
}

// apply makes the edits. mend undoes those that were made, also after an error.
func (t *tree) apply(edits []edit) (mend func(), err error) {
	before := map[string][]byte{}
	mend = func() {
		for name, text := range before {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				panic(fmt.Sprintf("the copy cannot be mended, and every later row would lie: %v", err))
			}
		}
	}
	for _, e := range edits {
		name := filepath.Join(t.root, e.file)
		text, err := os.ReadFile(name) //nolint:gosec // a file of the copy
		if err != nil {
			return mend, err
		}
		if n := strings.Count(string(text), e.old); n != 1 || e.old == e.new {
			return mend, fmt.Errorf("%s has %d times, not once: %q", e.file, n, e.old)
		}
		if _, kept := before[name]; !kept {
			before[name] = text
		}
		if err := os.WriteFile(name, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil { //nolint:gosec // a file of the list, in the copy
			return mend, err
		}
	}
	return mend, nil
}
