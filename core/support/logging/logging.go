// Package logging makes the one logger of a program from its configuration. There is no global one: it is handed to
// whoever logs.
package logging

import (
	"io"
	"log/slog"
	"time"

	"github.com/firstcome/firstcome/core/support/config"
)

// New logs to w in the configured format and from the configured level, times in UTC with microseconds as everywhere
// in the product. Every line carries the role.
func New(w io.Writer, c config.Log, role config.Role) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level(c.Level), ReplaceAttr: utc}
	var handler slog.Handler = slog.NewJSONHandler(w, opts)
	if c.Format == "text" {
		handler = slog.NewTextHandler(w, opts)
	}
	return slog.New(handler).With("role", string(role))
}

// level is Info for a word that config does not let through.
func level(word string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(word)); err != nil {
		return slog.LevelInfo
	}
	return l
}

const microseconds = "2006-01-02T15:04:05.000000Z"

func utc(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().UTC().Format(microseconds))
	}
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().Round(time.Microsecond).String())
	}
	return a
}
