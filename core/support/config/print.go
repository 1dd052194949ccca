package config

import (
	"fmt"
	"log/slog"
	"strings"
)

// String is every key with its value, a line each, secrets hidden.
func (c Config) String() string {
	var b strings.Builder
	for _, l := range leaves(&c) {
		fmt.Fprintf(&b, "%s: %v\n", l.key, l.value.Interface())
	}
	return b.String()
}

// GoString is what %#v prints.
func (c Config) GoString() string { return c.String() }

// LogValue is every key with its value, secrets hidden.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, l := range leaves(&c) {
		attrs = append(attrs, slog.Any(l.key, l.value.Interface()))
	}
	return slog.GroupValue(attrs...)
}
