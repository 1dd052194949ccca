package auth

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// claims are those that count here; whatever else a token says is not looked at.
type claims struct {
	Subject   string           `json:"sub"`
	Roles     []string         `json:"roles"`
	ExpiresAt *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
}

// GetExpirationTime and the next five make claims a jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }

// GetNotBefore is the nbf claim; nil when it is missing.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.NotBefore, nil }

// GetIssuedAt is always nil: it says how old a token is, not whether it is valid.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return nil, nil } //nolint:nilnil // jwt's way to say "missing"

// GetIssuer is always empty: who may sign is told by the key.
func (c *claims) GetIssuer() (string, error) { return "", nil }

// GetSubject is the sub claim.
func (c *claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience is always empty: a key is configured for this product alone.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return nil, nil }

// hs256 is the algorithm of the shared secret; hs256Header is the header that nearly all its tokens have, which is
// {"alg":"HS256","typ":"JWT"}.
const (
	hs256       = "HS256"
	hs256Header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
)

// segments is how the parts of a token are written.
var segments = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // a constant: making it copies 300 bytes

func decodeSegment(s string) ([]byte, error) { return segments.DecodeString(s) }

// algorithmOf reads the alg of a token's header without believing anything else of it.
func algorithmOf(token string) (string, error) {
	encoded, rest, found := strings.Cut(token, ".")
	if !found || strings.Count(rest, ".") != 1 {
		return "", refused("token: is not a JWT")
	}
	if encoded == hs256Header {
		return hs256, nil
	}
	header, err := decodeSegment(encoded)
	if err != nil {
		return "", refused("token: is not a JWT")
	}
	var h struct {
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(header, &h); err != nil {
		return "", refused("token: is not a JWT")
	}
	return h.Algorithm, nil
}
