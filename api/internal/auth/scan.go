package auth

import (
	"bytes"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// scan reads claims in the form that nearly all issuers write: one flat object without blanks, words without escapes,
// whole numbers. false: they have another form, which encoding/json has to read; nothing in c is of use then. It takes a
// tenth of the time.
func (c *claims) scan(text []byte) bool {
	s := scanner{rest: text}
	for more := s.take('{'); more; more = s.take(',') {
		name, ok := s.word()
		if !ok || !s.take(':') || !c.scanOne(&s, name) {
			return false
		}
		if s.take('}') {
			return len(s.rest) == 0
		}
	}
	return false
}

func (c *claims) scanOne(s *scanner, name []byte) bool {
	switch string(name) {
	case "sub":
		word, ok := s.word()
		twice := c.Subject != ""
		c.Subject = string(word)
		return ok && !twice
	case "roles":
		return c.Roles == nil && s.words(&c.Roles)
	case "exp":
		return s.date(&c.ExpiresAt)
	case "nbf":
		return s.date(&c.NotBefore)
	}
	for _, ours := range [...]string{"sub", "roles", "exp", "nbf"} {
		if bytes.EqualFold(name, []byte(ours)) {
			return false // encoding/json takes it for ours
		}
	}
	return s.skip()
}

// scanner takes from the front of a text.
type scanner struct{ rest []byte }

func (s *scanner) take(b byte) bool {
	if len(s.rest) == 0 || s.rest[0] != b {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// word takes a text in quotes that stands for itself.
func (s *scanner) word() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, b := range s.rest {
		switch {
		case b == '"':
			word := s.rest[:i]
			s.rest = s.rest[i+1:]
			return word, true
		case b < ' ' || b > '~' || b == '\\':
			return nil, false
		}
	}
	return nil, false
}

func (s *scanner) words(into *[]string) bool {
	*into = []string{}
	if !s.take('[') {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		word, ok := s.word()
		if !ok {
			return false
		}
		*into = append(*into, string(word))
		if !s.take(',') {
			return s.take(']')
		}
	}
}

// number takes a whole number of at most 15 digits, which every reader of JSON reads alike.
func (s *scanner) number() (n int64, ok bool) {
	const most = 15
	i := 0
	for ; i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9'; i++ {
		if i == most {
			return 0, false
		}
		n = 10*n + int64(s.rest[i]-'0')
	}
	if i == 0 || s.rest[0] == '0' && i > 1 {
		return 0, false
	}
	s.rest = s.rest[i:]
	return n, true
}

func (s *scanner) date(into **jwt.NumericDate) bool {
	n, ok := s.number()
	twice := *into != nil
	*into = &jwt.NumericDate{Time: time.Unix(n, 0)}
	return ok && !twice
}

// skip takes the value of a claim that does not count.
func (s *scanner) skip() bool {
	if _, ok := s.number(); ok {
		return true
	}
	_, ok := s.word()
	return ok
}
