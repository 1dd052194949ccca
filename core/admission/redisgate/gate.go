package redisgate

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// ViewAnswer is a gate's answer to one who looks at one coupon.
type ViewAnswer = coupon.ViewAnswer

// Gate is the gate on Redis. It is safe for use by many goroutines; calls of one goroutine do not wait for another's.
type Gate struct {
	client  redis.UniversalClient
	scripts scripts
	servers servers
}

var _ admission.Gate = (*Gate)(nil)

// New makes a gate on a client that the caller made: with a ContextTimeoutEnabled, and no key prefix of its own. Close
// closes the client.
func New(client redis.UniversalClient) *Gate {
	return &Gate{client: client, scripts: loadScripts(luaSource)}
}

// Ping asks the server whether it answers.
func (g *Gate) Ping(ctx context.Context) error {
	if err := g.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redisgate: ping: %w", err)
	}
	return nil
}

// Close closes the connections. Calls under way end with an error: an unknown outcome.
func (g *Gate) Close() error {
	if err := g.client.Close(); err != nil {
		return fmt.Errorf("redisgate: close: %w", err)
	}
	return nil
}
