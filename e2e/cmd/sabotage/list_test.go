package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every edit fits the code as it is: a list that has fallen behind is noticed where the code is changed, and not only when
// somebody runs it.
func TestEverySabotageFitsTheCode(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	names := map[string]bool{}
	fast := 0
	for _, s := range list() {
		require.False(t, names[s.name], "%s stands twice", s.name)
		names[s.name] = true
		require.NotEmpty(t, s.tests, s.name)
		require.NotEmpty(t, s.edits, s.name)
		if s.fast {
			fast++
		}
		for _, e := range s.edits {
			text, err := os.ReadFile(filepath.Join(root, e.file))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(text), e.old), "%s: %s has not exactly one %q", s.name, e.file, e.old)
			require.NotEqual(t, e.old, e.new, s.name)
		}
	}
	require.GreaterOrEqual(t, len(names), 60)
	require.InDelta(t, len(names)/2, fast, 4, "the fast half")
}

func TestWhatATestSaysIsFound(t *testing.T) {
	t.Parallel()
	r := read([]byte(`{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"=== RUN   TestA/x\n"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"    a_test.go:3: \n"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"        \tError Trace:\ta_test.go:3\n"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"        \tError:      \tNot equal:\n"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"        \t            \texpected: 1\n"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"        \tTest:       \tTestA/x\n"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"        \tMessages:   \tone a user\n"}
{"Action":"fail","Package":"p","Test":"TestA/x"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
`))
	require.Equal(t, result{passed: 1, failed: "TestA/x", said: "one a user: Not equal: expected: 1"}, r)
	r = read([]byte(`{"ImportPath":"p","Action":"build-output","Output":"./a.go:1: undefined: b\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p"}
`))
	require.Equal(t, result{noBuild: true, said: "./a.go:1: undefined: b"}, r)
}

func TestAnEditThatDoesNotFitIsLoudAndAMendedCopyIsAsBefore(t *testing.T) {
	t.Parallel()
	c := &tree{root: t.TempDir()}
	path := filepath.Join(c.root, "a.go")
	require.NoError(t, os.WriteFile(path, []byte("one two two"), 0o600))
	text := func() string {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(b)
	}
	mend, err := c.apply([]edit{{"a.go", "one", "three"}, {"a.go", "three", "four"}})
	require.NoError(t, err)
	require.Equal(t, "four two two", text())
	mend()
	require.Equal(t, "one two two", text())
	for _, old := range []string{"two", "five"} {
		mend, err = c.apply([]edit{{"a.go", "one", "three"}, {"a.go", old, "x"}})
		require.ErrorContains(t, err, "not once")
		mend()
		require.Equal(t, "one two two", text())
	}
}
