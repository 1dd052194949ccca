package redisgate

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogTo sends what go-redis says by itself to log instead of raw to standard error. The library has one logger for the
// process, the auditor's client included: a program calls it once, before its first client.
func LogTo(log *slog.Logger) { redis.SetLogger(clientLog{log}) }

// clientLog tells at the level debug: what goes wrong is an error of a call, too, and told by who made it, while the
// library says it again for each connection.
type clientLog struct{ log *slog.Logger }

// Printf is what go-redis calls.
func (c clientLog) Printf(ctx context.Context, format string, v ...any) {
	if c.log.Enabled(ctx, slog.LevelDebug) {
		c.log.DebugContext(ctx, "redis client", "says", fmt.Sprintf(format, v...))
	}
}
