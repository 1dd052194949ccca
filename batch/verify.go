package batch

import (
	"context"
	"time"

	"github.com/firstcome/firstcome/core/audit"
	"github.com/firstcome/firstcome/core/support/config"
)

// VerifyRequest says what to look at, and how patiently.
type VerifyRequest struct {
	Coupon   int64         // 0: all
	Settle   time.Duration // how long what may be work in flight is waited for
	Progress func(string)  // nil: nobody wants to know
}

// DefaultSettle is above what any single repair that runs by itself takes: a consumer's takeover (10 s), a rebuild, the
// sweeper, the completion of a change (batch.changes_every).
const DefaultSettle = 30 * time.Second

// Verify compares rows, log and gates. It writes nothing. An audit.BlindError says which of the three could not be looked
// at.
func Verify(ctx context.Context, cfg config.Config, req VerifyRequest) (audit.Report, error) {
	return audit.Verify(ctx, auditConfig(cfg, req))
}

func auditConfig(cfg config.Config, req VerifyRequest) audit.Config {
	r, k := cfg.Redis, cfg.Kafka
	return audit.Config{
		DSN: cfg.Database.DSN.Reveal(),
		Redis: audit.Redis{
			Mode: r.Mode, Addrs: r.Addrs, DB: r.DB, MasterName: r.MasterName, Username: r.Username, Password: r.Password.Reveal(),
		},
		Kafka:  audit.Kafka{Brokers: k.Brokers, Topic: k.Topic, Group: k.Group, Timeout: k.Timeout},
		Coupon: req.Coupon, Settle: req.Settle, Progress: req.Progress,
	}
}
