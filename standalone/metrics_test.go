package standalone_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// names are the distinct first groups of all matches.
func names(text string, form *regexp.Regexp) []string {
	var all []string
	for _, m := range form.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{".."}, path...)...))
	require.NoError(t, err)
	return string(text)
}

func (s *stack) body(t *testing.T, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Ops+path, nil)
	require.NoError(t, err)
	resp, err := s.client.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(text)
}

// What the running product shows and what docs/metrics.md says of it are the same names, types and checks.
func TestEveryMetricAndCheckIsDocumentedAndEveryDocumentedOneIsThere(t *testing.T) {
	t.Parallel()
	s := start(t, settings(t, t.TempDir()))
	now := time.Now()
	vendor := s.admin(t, http.StatusCreated, http.MethodPost, "/v1/admin/vendors", map[string]any{"name": "kiosk"})["id"]
	coupon := fmt.Sprint(s.admin(t, http.StatusCreated, http.MethodPost, "/v1/admin/coupons", map[string]any{
		"name": "one", "vendor_id": vendor, "opens_at": now.Add(-time.Hour), "closes_at": now.Add(time.Hour),
	})["id"])
	status, answer := s.claim(t, "alice", coupon)
	require.Equal(t, http.StatusAccepted, status, "%v", answer)

	shown := regexp.MustCompile(`(?m)^# TYPE (firstcome_[a-z_]+ [a-z]+)$`)
	documented := regexp.MustCompile("(?m)^\\| `(firstcome_[a-z_]+)` \\| [a-z, ]+ \\| ([a-z]+) \\|")
	page := read(t, "docs", "metrics.md")
	var want []string
	for _, m := range documented.FindAllStringSubmatch(page, -1) {
		want = append(want, m[1]+" "+m[2])
	}
	slices.Sort(want)
	require.Greater(t, len(want), 40)
	require.Eventually(t, func() bool { // the first lag and the first walk of the sweeper take a moment
		return slices.Equal(want, names(s.body(t, "/metrics"), shown))
	}, 20*time.Second, 200*time.Millisecond, "documented: %v\nshown: %v", want, names(s.body(t, "/metrics"), shown))

	checks := names(s.body(t, "/readyz"), regexp.MustCompile(`"name":"(?:api |consumer |batch )?([a-z]+)"`))
	listed := names(page, regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|"))
	assert.Equal(t, listed, checks)
}

// Each alert looks at metrics that are there and leads to an entry of the runbook.
func TestAlertsLookAtWhatIsThereAndLeadToTheRunbook(t *testing.T) {
	t.Parallel()
	rules, page, runbook := read(t, "configs", "alerts.yaml"), read(t, "docs", "metrics.md"), read(t, "docs", "runbook.md")
	alerts := strings.Split(rules, "- alert: ")[1:]
	require.Greater(t, len(alerts), 10)
	anchors := headings(runbook)
	seen := map[string]bool{}
	for _, alert := range alerts {
		name, _, _ := strings.Cut(alert, "\n")
		assert.Regexp(t, `^Firstcome[A-Za-z]+$`, name)
		assert.False(t, seen[name], name)
		seen[name] = true
		field := func(key string) string {
			m := regexp.MustCompile(`(?m)^ +` + key + `: (.+)$`).FindStringSubmatch(alert)
			require.NotNil(t, m, "%s has no %s", name, key)
			return m[1]
		}
		expr := field("expr")
		for _, pair := range []string{"()", "{}", "[]"} {
			assert.Equal(t, strings.Count(expr, pair[:1]), strings.Count(expr, pair[1:]), "%s: %s", name, expr)
		}
		assert.Zero(t, strings.Count(expr, `"`)%2, "%s: %s", name, expr)
		for _, metric := range names(expr, regexp.MustCompile(`(firstcome_[a-z_]+)`)) {
			assert.Contains(t, page, "| `"+metric+"` |", name)
		}
		assert.Contains(t, []string{"{severity: page}", "{severity: ticket}"}, field("labels"), name)
		assert.NotEmpty(t, field("summary"), name)
		file, anchor, ok := strings.Cut(field("runbook"), "#")
		assert.True(t, ok, name)
		assert.Equal(t, "docs/runbook.md", file, name)
		assert.Contains(t, anchors, anchor, name)
		if m := regexp.MustCompile(`(?m)^ +for: (.+)$`).FindStringSubmatch(alert); m != nil {
			_, err := time.ParseDuration(m[1])
			assert.NoError(t, err, name)
		}
	}
	for _, anchor := range names(page, regexp.MustCompile(`runbook\.md#([a-z0-9_-]+)`)) {
		assert.Contains(t, anchors, anchor, "docs/metrics.md")
	}
}

// headings are the anchors of a page, made of its headings as the usual viewers do.
func headings(page string) []string {
	var all []string
	for _, h := range names(page, regexp.MustCompile(`(?m)^#+ (.+)$`)) {
		h = regexp.MustCompile(`[^a-z0-9_ -]`).ReplaceAllString(strings.ToLower(h), "")
		all = append(all, strings.ReplaceAll(h, " ", "-"))
	}
	return all
}
