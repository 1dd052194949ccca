package config

import (
	"fmt"
	"strings"
)

// Problem is one thing to correct.
type Problem struct {
	Key    string // key path, or the name of an environment variable, or of a file
	Detail string // what was given (never a secret) and what is allowed
}

// Error is everything that is wrong with a configuration, in the order of the keys.
type Error struct {
	Role     Role
	Problems []Problem
}

func (e *Error) Error() string {
	var b strings.Builder
	things := "one thing"
	if n := len(e.Problems); n != 1 {
		things = fmt.Sprintf("%d things", n)
	}
	fmt.Fprintf(&b, "%s does not start: its configuration has %s to correct", e.Role, things)
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %s: %s", p.Key, p.Detail)
	}
	return b.String()
}
