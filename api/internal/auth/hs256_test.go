package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef0123456789abcdef"

var now = time.Date(2026, 11, 20, 12, 0, 0, 500_000_000, time.UTC)

func clock() time.Time { return now }

// good are the claims of a token that is believed; rows change one.
func good(change ...any) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "u-81", "exp": now.Add(time.Hour).Unix(), "roles": []string{"user"}}
	for pair := range slices.Chunk(change, 2) {
		name, _ := pair[0].(string)
		if c[name] = pair[1]; c[name] == nil {
			delete(c, name)
		}
	}
	return c
}

func signed(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for pair := range slices.Chunk(header, 2) {
		token.Header[pair[0]] = pair[1]
	}
	s, err := token.SignedString(key)
	require.NoError(t, err)
	return s
}

func ours(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	return signed(t, jwt.SigningMethodHS256, []byte(secret), claims)
}

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func newVerifier(t testing.TB) *Verifier {
	t.Helper()
	v, err := New(Options{Secret: []byte(secret), Now: clock})
	require.NoError(t, err)
	return v
}

func TestAValidTokenNamesItsUserAndRole(t *testing.T) {
	t.Parallel()
	v := newVerifier(t)
	for name, row := range map[string]struct {
		claims jwt.MapClaims
		want   User
	}{
		"user":            {good(), User{ID: "u-81"}},
		"admin":           {good("roles", []string{"user", "admin"}), User{ID: "u-81", Admin: true}},
		"no roles":        {good("roles", nil), User{ID: "u-81"}},
		"another Admin":   {good("roles", []string{"Admin", "admin "}), User{ID: "u-81"}},
		"nbf just now":    {good("nbf", now.Unix()), User{ID: "u-81"}},
		"longest sub":     {good("sub", strings.Repeat("a", 64)), User{ID: strings.Repeat("a", 64)}},
		"every character": {good("sub", "AZaz09._:@-"), User{ID: "AZaz09._:@-"}},
		"other claims":    {good("iat", now.Add(time.Hour).Unix(), "aud", 5, "iss", []int{1}), User{ID: "u-81"}},
		"within leeway":   {good("exp", now.Unix()), User{ID: "u-81"}},
	} {
		got, err := v.Verify(t.Context(), ours(t, row.claims))
		require.NoError(t, err, name)
		assert.Equal(t, row.want, got, name)
	}
}

func TestATokenThatIsNotValidIsRefusedByTheNameOfWhatIsWrong(t *testing.T) {
	t.Parallel()
	v := newVerifier(t)
	valid := ours(t, good())
	parts := strings.Split(valid, ".")
	claimsJSON, err := json.Marshal(good())
	require.NoError(t, err)
	body := segment(string(claimsJSON))
	for name, row := range map[string]struct{ token, names string }{
		"expired":           {ours(t, good("exp", now.Add(-2*time.Second).Unix())), "exp"},
		"expired long ago":  {ours(t, good("exp", 0)), "exp"},
		"without exp":       {ours(t, good("exp", nil)), "exp"},
		"exp as text":       {ours(t, good("exp", "tomorrow")), "token"},
		"exp beyond time":   {ours(t, good("exp", 1e300)), "exp"},
		"not yet valid":     {ours(t, good("nbf", now.Add(time.Minute).Unix())), "nbf"},
		"without sub":       {ours(t, good("sub", nil)), "sub"},
		"empty sub":         {ours(t, good("sub", "")), "sub"},
		"long sub":          {ours(t, good("sub", strings.Repeat("a", 65))), "sub"},
		"sub with a blank":  {ours(t, good("sub", "u 81")), "sub"},
		"sub with a slash":  {ours(t, good("sub", "u/81")), "sub"},
		"sub with newline":  {ours(t, good("sub", "u-81\n")), "sub"},
		"sub with Hangul":   {ours(t, good("sub", "사용자")), "sub"},
		"sub as number":     {ours(t, good("sub", 81)), "token"},
		"roles as text":     {ours(t, good("roles", "admin")), "token"},
		"of another key":    {signed(t, jwt.SigningMethodHS256, []byte(strings.Repeat("k", 32)), good()), "signature"},
		"unsigned":          {signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good()), "alg"},
		"alg None":          {segment(`{"alg":"None"}`) + "." + body + ".", "alg"},
		"alg NONE, signed":  {segment(`{"alg":"NONE"}`) + "." + body + "." + parts[2], "alg"},
		"no alg":            {segment(`{"typ":"JWT"}`) + "." + body + "." + parts[2], "alg"},
		"alg as number":     {segment(`{"alg":256}`) + "." + body + "." + parts[2], "token"},
		"HS512":             {signed(t, jwt.SigningMethodHS512, []byte(secret), good()), "alg"},
		"RS256":             {segment(`{"alg":"RS256"}`) + "." + body + "." + parts[2], "alg"},
		"no signature":      {parts[0] + "." + parts[1] + ".", "signature"},
		"two parts":         {parts[0] + "." + parts[1], "token"},
		"four parts":        {valid + "." + parts[2], "token"},
		"changed claims":    {parts[0] + "." + body[:len(body)-2] + "xx." + parts[2], "signature"},
		"signature changed": {valid[:len(valid)-4] + "AAAA", "signature"},
		"padded":            {valid + "=", "token"},
		"empty":             {"", "token"},
		"dots":              {"..", "token"},
		"text":              {"Bearer", "token"},
		"too long":          {strings.Repeat("a", MaxToken+1), "token"},
	} {
		_, err := v.Verify(t.Context(), row.token)
		var refusal *RefusedError
		require.ErrorAs(t, err, &refusal, name)
		assert.True(t, strings.HasPrefix(refusal.Detail, row.names+": "), "%s: %s", name, refusal.Detail)
		assert.NotContains(t, refusal.Detail, secret)
	}
}

func TestATokenEndsWithItsExp(t *testing.T) {
	t.Parallel()
	at := now
	v, err := New(Options{Secret: []byte(secret), Now: func() time.Time { return at }})
	require.NoError(t, err)
	token := ours(t, good("exp", now.Add(time.Minute).Unix(), "nbf", now.Unix()))
	for _, elapsed := range []time.Duration{0, 0, 30 * time.Second, time.Minute} {
		at = now.Add(elapsed)
		_, err = v.Verify(t.Context(), token)
		require.NoError(t, err, elapsed)
	}
	at = now.Add(time.Minute + Leeway)
	_, err = v.Verify(t.Context(), token)
	require.ErrorAs(t, err, new(*RefusedError))
}

func TestNoAuthenticationConfiguredSaysWhichKeys(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Now: clock})
	require.ErrorContains(t, err, "FIRSTCOME_AUTH_HS256_SECRET")
	require.ErrorContains(t, err, "auth.jwks_url")
	require.NoError(t, newVerifier(t).Ready(context.Background()))
}

// FuzzToken: whatever is sent, nobody is believed who has not signed with the secret.
func FuzzToken(f *testing.F) {
	valid := ours(f, good())
	f.Add(valid)
	f.Add(signed(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good()))
	f.Add(strings.Replace(valid, ".", "..", 1))
	f.Add(segment(`{"alg":"HS256","alg":"none"}`) + valid[strings.Index(valid, "."):])
	v := newVerifier(f)
	f.Fuzz(func(t *testing.T, token string) {
		user, err := v.Verify(t.Context(), token)
		if token == valid {
			require.NoError(t, err)
			return
		}
		if err == nil { // another spelling of what was signed: the signature covers header and claims
			require.Equal(t, User{ID: "u-81"}, user)
			require.Equal(t, valid[:strings.LastIndex(valid, ".")], token[:strings.LastIndex(token, ".")])
			return
		}
		require.True(t, errors.As(err, new(*RefusedError)), "%v", err)
	})
}

// FuzzClaims: what the quick reading takes means the same to encoding/json, and what it leaves is not lost.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		`{"sub":"u-81","exp":1795000000,"roles":["user"]}`, `{"exp":1,"nbf":0,"roles":[],"sub":"","jti":"x","iat":12}`,
		`{"SUB":"other","sub":"u"}`, `{"sub":"a","sub":"b"}`, `{"exp":01}`, `{"exp":1234567890123456}`, `{"sub":"\u0061"}`,
		`{"a":{"sub":"x"},"sub":"u"}`, `{"roles":["a",]}`, `{"sub":"u"}x`, `{}`, `{"exp":1,"exp":null}`, "{\"\u017fub\":\"u\"}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var quick, slow claims
		if quick.scan(text) {
			require.NoError(t, json.Unmarshal(text, &slow))
			require.Equal(t, slow, quick)
		}
	})
}

func TestTheUsualTokenIsReadQuickly(t *testing.T) {
	t.Parallel()
	for text, quick := range map[string]bool{
		`{"sub":"u-81","exp":1795000000,"roles":["user","admin"],"iss":"https://x","iat":1}`: true,
		`{"sub":"u-81", "exp":1795000000}`:                                                   false,
		`{"sub":"u-81","exp":1795000000.5}`:                                                  false,
		`{"Sub":"u-82","sub":"u-81","exp":1}`:                                                false,
		`{"sub":"u-81","sub":"u-82","exp":1}`:                                                false,
		`{"sub":"u-81","aud":["x"],"exp":1}`:                                                 false,
		`{"sub":"u-81","exp":1,"exp":2}`:                                                     false,
		`{"sub":"u-81","exp":1}{`:                                                            false,
		`{"sub":"u-81","exp":1,}`:                                                            false,
		`["sub"]`:                                                                            false,
	} {
		require.Equal(t, quick, new(claims).scan([]byte(text)), text)
	}
}
