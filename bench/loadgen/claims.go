package loadgen

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Claims are ready-made requests for one coupon, each of a user of its own with a token of its own, signed beforehand so
// that signing is not measured. They take about 150 bytes a user: 150 MB for a million.
type Claims struct {
	head, tail []byte
	tokens     []byte
	ends       []uint32 // where each token ends in tokens
}

// tokenLife is longer than any load takes.
const tokenLife = 2 * time.Hour

// NewClaims signs tokens for as many users; their names are plain letters, digits and -.
func NewClaims(couponID int64, secret []byte, users int, name func(i int) string) (*Claims, error) {
	c := &Claims{
		head: fmt.Appendf(nil, "POST /v1/coupons/%d/issues HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ", couponID),
		tail: []byte("\r\nContent-Length: 0\r\n\r\n"),
		ends: make([]uint32, users),
	}
	mac := hmac.New(sha256.New, secret)
	head := base64.RawURLEncoding.AppendEncode(nil, []byte(`{"alg":"HS256","typ":"JWT"}`))
	expires := strconv.FormatInt(time.Now().Add(tokenLife).Unix(), 10)
	var claims, sum []byte
	for i := range users {
		claims = append(append(claims[:0], `{"sub":"`...), name(i)...)
		claims = append(append(append(claims, `","exp":`...), expires...), '}')
		from := len(c.tokens)
		c.tokens = append(append(c.tokens, head...), '.')
		c.tokens = base64.RawURLEncoding.AppendEncode(c.tokens, claims)
		mac.Reset()
		mac.Write(c.tokens[from:])
		sum = mac.Sum(sum[:0])
		c.tokens = base64.RawURLEncoding.AppendEncode(append(c.tokens, '.'), sum)
		if len(c.tokens) > math.MaxUint32 {
			return nil, fmt.Errorf("loadgen: the tokens of %d users take more than 4 GB", users)
		}
		c.ends[i] = uint32(len(c.tokens))
	}
	return c, nil
}

// Append is for Load.Append: the claim of the i-th user.
func (c *Claims) Append(buf []byte, i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	return append(append(append(buf, c.head...), c.tokens[from:c.ends[i]]...), c.tail...)
}
