package batch

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/checkup"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/doctor"
)

// doctorTimeout bounds the look at each server: a person waits, and would rather know.
const doctorTimeout = 15 * time.Second

// Doctor checks what the guarantees rest on, as every role does at its start, and changes nothing. A server that cannot be
// reached leaves its checks unknown; the others are made all the same.
func Doctor(ctx context.Context, cfg config.Config, opts Options) doctor.Report {
	opts = opts.withDefaults()
	return doctor.Judge(checkup.Look(ctx, checkup.Deps{
		Config: checkup.ConfigOf(config.Batch, cfg),
		Redis:  func(ctx context.Context) (*doctor.Redis, error) { return redisgate.Inspect(ctx, gateConfig(cfg)) },
		Kafka:  func(ctx context.Context) (*doctor.Kafka, error) { return kafkajournal.Facts(ctx, journalConfig(cfg)) },
		Database: func(ctx context.Context) (facts *doctor.Database, err error) {
			book, err := ledger.Open(ctx, ledgerConfig(cfg, opts))
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, book.Close()) }()
			return book.Facts(ctx)
		},
		Registerer: prometheus.NewRegistry(), Timeout: doctorTimeout,
	}))
}
