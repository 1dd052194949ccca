package httpapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every detail that the sources can put into an answer is said in Korean too.
func TestEveryDetailIsSaidInKorean(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	makers := map[string]int{"fieldError": 1, "fieldErr": 1, "bad": 1, "refused": 0} // the argument that is the text
	seen := 0
	check := func(at token.Position, text string) {
		seen++
		for verb, value := range map[string]string{"%d": "7", "%q": `"x"`, "%s": "x", "%v": "[a b]"} {
			text = strings.ReplaceAll(text, verb, value)
		}
		if name, rest, ok := strings.Cut(text, ": "); ok && regexp.MustCompile(`^[a-z]+$`).MatchString(name) {
			text = rest // of a token
		}
		korean := inKorean(text)
		assert.Regexp(t, `\p{Hangul}`, korean, "%s: %q has no Korean", at, text)
		assert.NotContains(t, korean, "$", "%s: %q", at, text)
	}
	for _, folder := range []string{"core/coupon", "core/publish", "core/admission", "core/ledger", "api/internal/httpapi", "api/internal/auth"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.Ident); ok {
						if i, is := makers[f.Name]; is && i < len(n.Args) {
							text(n.Args[i], func(s string) { check(set.Position(n.Pos()), s) })
						}
					}
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Detail" {
						text(n.Value, func(s string) { check(set.Position(n.Pos()), s) })
					}
				}
				return true
			})
		}
	}
	assert.Greater(t, seen, 40)
	for _, wanted := range []string{"must be a time by RFC 3339, such as 2026-11-20T12:00:00Z", "must be true or false", "must be text",
		"must be a whole number of at most 64 bits, without fraction or exponent"} {
		assert.Regexp(t, `\p{Hangul}`, inKorean(wanted))
	}
	assert.Equal(t, "1~100 범위여야 합니다", inKorean("must be from 1 to 100"))
	assert.Equal(t, "exp: 토큰이 만료되었습니다", tokenInKorean("exp: the token has expired"))
	assert.Equal(t, "unheard of", inKorean("unheard of"))
}

// text calls with the literal that an expression is made of: the literal itself, or the format of a Sprintf.
func text(e ast.Expr, call func(string)) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING && s != "%s" {
			call(s)
		}
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			text(e.Args[0], call)
		}
	}
}
