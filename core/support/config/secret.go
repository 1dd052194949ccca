package config

import "log/slog"

// Secret is a value that is never printed: not by fmt, not by slog, not as JSON.
type Secret string

const hidden = "[set]"

// Reveal is the value itself.
func (s Secret) Reveal() string { return string(s) }

// String is "" or a word that says that something is set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString is what %#v prints.
func (s Secret) GoString() string { return s.String() }

// LogValue is what slog prints.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what encoders print.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
