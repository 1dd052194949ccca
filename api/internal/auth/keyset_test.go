package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// issuer is somebody who signs, and publishes the keys.
type issuer struct {
	url string

	mu     sync.Mutex
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	kid    string
	status int
	body   string // instead of the set
	reads  int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{kid: "1", status: http.StatusOK}
	i.newKeys(t)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

func (i *issuer) newKeys(t *testing.T) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	var err error
	i.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, i.ed, err = ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reads++
	w.WriteHeader(i.status)
	if i.body != "" {
		_, _ = w.Write([]byte(i.body))
		return
	}
	point, err := i.ec.PublicKey.ECDH()
	if err != nil {
		panic(err)
	}
	xy := point.Bytes()[1:]
	edPublic, _ := i.ed.Public().(ed25519.PublicKey)
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "kid": "rsa" + i.kid, "n": b64(i.rsa.N.Bytes()), "e": b64(big.NewInt(int64(i.rsa.E)).Bytes())},
		{"kty": "EC", "crv": "P-256", "kid": "ec" + i.kid, "x": b64(xy[:32]), "y": b64(xy[32:])},
		{"kty": "OKP", "crv": "Ed25519", "kid": "ed" + i.kid, "x": b64(edPublic)},
	}})
}

func (i *issuer) set(change func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

func (i *issuer) readCount() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reads
}

// ticking is a clock that a test sets.
type ticking struct {
	mu sync.Mutex
	at time.Time
}

func (c *ticking) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *ticking) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func newKeyVerifier(t *testing.T, i *issuer, secret string) (*Verifier, *ticking) {
	t.Helper()
	c := &ticking{at: now}
	v, err := New(Options{JWKSURL: i.url, Secret: []byte(secret), Now: c.now})
	require.NoError(t, err)
	return v, c
}

func TestTokensOfTheKeySetAreBelieved(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v, _ := newKeyVerifier(t, i, "")
	for method, key := range map[jwt.SigningMethod]crypto.PrivateKey{
		jwt.SigningMethodRS256: i.rsa, jwt.SigningMethodES256: i.ec, jwt.SigningMethodEdDSA: i.ed,
	} {
		for _, header := range [][]string{nil, {"kid", map[string]string{"RS256": "rsa1", "ES256": "ec1", "EdDSA": "ed1"}[method.Alg()]}} {
			user, err := v.Verify(t.Context(), signed(t, method, key, good("roles", []string{"admin"}), header...))
			require.NoError(t, err, method.Alg())
			assert.Equal(t, User{ID: "u-81", Admin: true}, user)
		}
		for name, claims := range map[string]jwt.MapClaims{
			"exp": good("exp", now.Unix()-10), "nbf": good("nbf", now.Add(time.Minute).Unix()), "sub": good("sub", "a b"), "token": good("roles", "admin"),
		} {
			_, err := v.Verify(t.Context(), signed(t, method, key, claims))
			var refusal *RefusedError
			require.ErrorAs(t, err, &refusal)
			assert.Contains(t, refusal.Detail, name+": ")
		}
		_, err := v.Verify(t.Context(), signed(t, method, key, good("exp", nil)))
		require.ErrorContains(t, err, "exp: is needed")
	}
	assert.Equal(t, 1, i.readCount(), "one reading of the set serves all")
}

func TestARememberedTokenEndsWithItsExp(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v, clock := newKeyVerifier(t, i, "")
	token := signed(t, jwt.SigningMethodES256, i.ec, good("exp", now.Add(time.Minute).Unix(), "nbf", now.Unix()))
	for _, elapsed := range []time.Duration{0, 0, 30 * time.Second, 30 * time.Second} {
		clock.advance(elapsed)
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err, elapsed)
	}
	assert.Equal(t, 1, v.remembered.Len())
	clock.advance(Leeway)
	_, err := v.Verify(t.Context(), token)
	require.ErrorAs(t, err, new(*RefusedError))
	assert.Zero(t, v.remembered.Len())
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v, _ := newKeyVerifier(t, i, "")
	for n := range 10 {
		_, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodES256, i.ec, good("exp", now.Unix()-10, "jti", n)))
		require.Error(t, err)
	}
	assert.Zero(t, v.remembered.Len(), "a token that is refused is not remembered")
	assert.Equal(t, maxRemembered, 1<<14)
}

func TestAPublicKeyIsNoSharedSecret(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	public, err := x509.MarshalPKIXPublicKey(&i.rsa.PublicKey)
	require.NoError(t, err)
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	forged := signed(t, jwt.SigningMethodHS256, pemKey, good(), "kid", "rsa1")
	only, _ := newKeyVerifier(t, i, "")
	_, err = only.Verify(t.Context(), forged)
	require.ErrorContains(t, err, "alg: must be RS256, ES256, EdDSA")
	both, _ := newKeyVerifier(t, i, secret)
	_, err = both.Verify(t.Context(), forged)
	require.ErrorContains(t, err, "signature: ")
	_, err = both.Verify(t.Context(), ours(t, good()))
	require.NoError(t, err)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodPS256, jwt.SigningMethodRS512} {
		_, err = both.Verify(t.Context(), signed(t, method, i.rsa, good(), "kid", "rsa1"))
		require.ErrorContains(t, err, "alg: ")
	}
	none := signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good(), "kid", "rsa1")
	_, err = both.Verify(t.Context(), none)
	require.ErrorContains(t, err, "alg: ")
}

func TestANewKeyCountsAndNobodyMakesUsReadTheSetAllTheTime(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v, c := newKeyVerifier(t, i, "")
	require.NoError(t, v.Ready(t.Context()))
	_, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, i.rsa, good(), "kid", "rsa1"))
	require.NoError(t, err)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for n := range 20 {
		_, err = v.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, stranger, good("jti", n), "kid", "unknown"))
		require.ErrorContains(t, err, "signature: ")
	}
	assert.Equal(t, 1, i.readCount())

	i.newKeys(t)
	i.set(func(i *issuer) { i.kid = "2" })
	c.advance(keySetMemory)
	token := signed(t, jwt.SigningMethodES256, i.ec, good(), "kid", "ec2")
	require.Eventually(t, func() bool { _, err = v.Verify(t.Context(), token); return err == nil }, 5*time.Second, time.Millisecond)
	assert.Equal(t, 2, i.readCount())
}

func TestAKeySetThatCannotBeReadLeavesItUnknown(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*issuer){
		"status":      func(i *issuer) { i.status = http.StatusInternalServerError },
		"redirect":    func(i *issuer) { i.status = http.StatusFound },
		"not JSON":    func(i *issuer) { i.body = "<html>" },
		"no keys":     func(i *issuer) { i.body = `{"keys":[]}` },
		"broken key":  func(i *issuer) { i.body = `{"keys":[{"kty":"RSA","n":"!"}]}` },
		"huge answer": func(i *issuer) { i.body = `{"keys":[{}]}` + strings.Repeat(" ", maxKeySet) },
	} {
		i := newIssuer(t)
		i.set(breakIt)
		v, c := newKeyVerifier(t, i, "")
		token := signed(t, jwt.SigningMethodRS256, i.rsa, good(), "kid", "rsa1")
		for range 5 {
			_, err := v.Verify(t.Context(), token)
			require.ErrorIs(t, err, ErrUnavailable, name)
		}
		assert.Equal(t, 1, i.readCount(), "not asked for every request while it is broken")
		if name != "broken key" {
			require.Error(t, v.Ready(t.Context()), name)
		}
		i.set(func(i *issuer) { i.status, i.body = http.StatusOK, "" })
		c.advance(keySetMemory)
		require.NoError(t, v.Ready(t.Context()))
		// go-oidc hands out its last reading a moment longer, also when that failed.
		require.Eventually(t, func() bool { _, err := v.Verify(t.Context(), token); return err == nil }, 5*time.Second, time.Millisecond, name)

		// What is known stays known when the set is gone.
		i.set(breakIt)
		c.advance(keySetMemory)
		_, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, i.rsa, good("jti", 2), "kid", "rsa1"))
		require.NoError(t, err)
		require.NoError(t, v.Ready(t.Context()))
	}
}
