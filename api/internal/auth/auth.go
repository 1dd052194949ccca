package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/firstcome/firstcome/core/coupon"
)

// Bounds of tokens and of what is remembered of them.
const (
	// Leeway is how far the issuer's clock may differ from ours. Synchronised clocks differ by milliseconds; a second
	// covers issuers that round to whole ones.
	Leeway = time.Second
	// MaxToken bounds a token in bytes: ours have about 200, those of big issuers with many claims about 2,000.
	MaxToken = 4 << 10
	// maxRemembered verified tokens of the key set are kept: about 200 bytes each, 3 MB in all.
	maxRemembered = 1 << 14
	// rememberFor bounds how long a verified token is believed without another look at its signature, so that a key
	// taken out of the set stops counting. The token's own exp may end it sooner.
	rememberFor = 5 * time.Minute
	// adminRole is the element of `roles` that opens the admin paths.
	adminRole = "admin"
)

// User is who asks.
type User struct {
	ID    string // a valid user id
	Admin bool
}

// ErrUnavailable means that the key set could not be read, so that nothing is known about the token.
var ErrUnavailable = errors.New("the key set cannot be read")

// RefusedError says why a token is not believed; Detail names the claim or part of it and is for the one who sent it.
type RefusedError struct{ Detail string }

func (e *RefusedError) Error() string { return e.Detail }

// Options say whose tokens are believed. At least one of Secret and JWKSURL is needed; with both, the token's algorithm
// tells which.
type Options struct {
	Secret  []byte           // for HS256; at least 32 bytes
	JWKSURL string           // of the key set for RS256, ES256 and EdDSA
	Now     func() time.Time // the clock that exp and nbf are compared with
}

// Verifier verifies tokens. Its methods may be called concurrently.
type Verifier struct {
	macs       sync.Pool // of *workspace; of the secret
	keys       *keySet   // nil: none
	algorithms []string
	times      *jwt.Validator // of claims whose signature is verified
	now        func() time.Time
	remembered *lru.Cache[[sha256.Size]byte, remembered]
}

// remembered is a verified token; the key is the hash of all of it, so that nothing else is taken for it.
type remembered struct {
	user  User
	until time.Time
}

// New makes a Verifier. It does not ask for the key set yet.
func New(opts Options) (*Verifier, error) {
	if len(opts.Secret) == 0 && opts.JWKSURL == "" {
		return nil, errors.New("no authentication is configured: set auth.hs256_secret (FIRSTCOME_AUTH_HS256_SECRET) or auth.jwks_url (FIRSTCOME_AUTH_JWKS_URL)")
	}
	cache, err := lru.New[[sha256.Size]byte, remembered](maxRemembered)
	if err != nil {
		return nil, fmt.Errorf("memory of tokens: %w", err)
	}
	v := &Verifier{now: opts.Now, remembered: cache}
	v.macs.New = func() any { return &workspace{mac: hmac.New(sha256.New, opts.Secret)} }
	v.times = jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithLeeway(Leeway), jwt.WithTimeFunc(opts.Now))
	if len(opts.Secret) > 0 {
		v.algorithms = append(v.algorithms, hs256)
	}
	if opts.JWKSURL != "" {
		v.keys = newKeySet(opts.JWKSURL, opts.Now)
		v.algorithms = append(v.algorithms, keySetAlgorithms()...)
	}
	return v, nil
}

// Ready says whether tokens can be verified: with a key set, whether it has been read.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.keys == nil {
		return nil
	}
	return v.keys.ready(ctx)
}

// Verify returns the user of a token. The error is a *RefusedError, or ErrUnavailable.
func (v *Verifier) Verify(ctx context.Context, token string) (User, error) {
	if len(token) > MaxToken {
		return User{}, refused("token: must have at most %d bytes", MaxToken)
	}
	algorithm, err := algorithmOf(token)
	if err != nil {
		return User{}, err
	}
	if !slices.Contains(v.algorithms, algorithm) {
		return User{}, refused("alg: must be %s", strings.Join(v.algorithms, ", "))
	}
	if algorithm == hs256 { // quicker than a look into any memory, and a crowd's tokens are all different
		c, err := v.secretClaims(token)
		if err != nil {
			return User{}, err
		}
		return userOf(c)
	}
	return v.keySetUser(ctx, token)
}

// keySetUser is the user of a token of the key set, whose signature takes up to a hundred microseconds to verify.
func (v *Verifier) keySetUser(ctx context.Context, token string) (User, error) {
	key := sha256.Sum256([]byte(token))
	now := v.now()
	if r, ok := v.remembered.Get(key); ok {
		if now.Before(r.until) {
			return r.user, nil
		}
		v.remembered.Remove(key)
	}
	c, err := v.keySetClaims(ctx, token)
	if err != nil {
		return User{}, err
	}
	user, err := userOf(c)
	if err != nil {
		return User{}, err
	}
	until := now.Add(rememberFor)
	if end := c.ExpiresAt.Add(Leeway); end.Before(until) {
		until = end
	}
	v.remembered.Add(key, remembered{user: user, until: until})
	return user, nil
}

// userOf is the user whom verified claims name.
func userOf(c *claims) (User, error) {
	if !coupon.ValidUserID(c.Subject) {
		return User{}, refused("sub: must be a user id of 1 to %d characters [A-Za-z0-9._:@-]", coupon.MaxUserID)
	}
	return User{ID: c.Subject, Admin: slices.Contains(c.Roles, adminRole)}, nil
}

// workspace is what verifying one token needs, used again for the next: a crowd comes with tokens that nobody has seen
// before. A mac that is reset keeps what it made of the secret.
type workspace struct {
	mac   hash.Hash
	token []byte
	sum   [sha256.Size]byte
	part  [base64Room]byte
}

// base64Room is what the longest part of a token decodes to.
const base64Room = MaxToken / 4 * 3

// secretClaims verifies a token of the shared secret. The steps are those of jwt.Parser, which reads the header into a
// map and everything twice.
func (v *Verifier) secretClaims(token string) (*claims, error) {
	w := v.macs.Get().(*workspace) // the pool holds nothing else
	defer v.macs.Put(w)
	w.token = append(w.token[:0], token...)
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	n, err := segments.Decode(w.part[:], w.token[last+1:])
	if err != nil {
		return nil, refusalOf(jwt.ErrTokenMalformed)
	}
	w.mac.Reset()
	_, _ = w.mac.Write(w.token[:last]) // a hash takes everything
	if !hmac.Equal(w.part[:n], w.mac.Sum(w.sum[:0])) {
		return nil, refusalOf(jwt.ErrTokenSignatureInvalid)
	}
	if n, err = segments.Decode(w.part[:], w.token[first+1:last]); err != nil {
		return nil, refusalOf(jwt.ErrTokenMalformed)
	}
	return v.verified(w.part[:n])
}

// verified reads claims whose signature was verified and checks their times.
func (v *Verifier) verified(payload []byte) (*claims, error) {
	var c claims
	if !c.scan(payload) {
		c = claims{}
		if err := json.Unmarshal(payload, &c); err != nil {
			return nil, refusalOf(jwt.ErrTokenMalformed)
		}
	}
	if err := v.times.Validate(&c); err != nil {
		return nil, refusalOf(err)
	}
	return &c, nil
}

func refused(format string, args ...any) error {
	return &RefusedError{Detail: fmt.Sprintf(format, args...)}
}

// refusalOf says in the words of the contract what the parser found.
func refusalOf(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refused("token: is not a JWT with the claims sub, exp and roles (a list)")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refused("signature: is not of the key that is trusted here")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refused("exp: is needed")
	case errors.Is(err, jwt.ErrTokenExpired):
		return refused("exp: the token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refused("nbf: the token is not valid yet")
	default:
		return refused("token: is not valid")
	}
}
