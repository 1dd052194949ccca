package batch

import (
	"context"
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/config"
)

// Migrate brings the schema to the version of this build and makes the topic. Safe to run twice and by several at once.
// did is one line of what there is now.
func Migrate(ctx context.Context, cfg config.Config, opts Options) (did string, err error) {
	book, err := ledger.Open(ctx, ledgerConfig(cfg, opts))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	before, _, err := book.SchemaVersion(ctx)
	if err != nil {
		return "", err
	}
	if err = book.Migrate(ctx); err != nil {
		return "", err
	}
	after, _, err := book.SchemaVersion(ctx)
	if err != nil {
		return "", err
	}
	schema := fmt.Sprintf("schema at version %d (was %d)", after, before)
	if before == after {
		schema = fmt.Sprintf("schema at version %d already", after)
	}
	err = kafkajournal.CreateTopic(ctx, cfg.Kafka.Brokers, cfg.Kafka.Topic, cfg.Kafka.Partitions, cfg.Kafka.Replication)
	if err != nil {
		return schema, fmt.Errorf("%s; topic: %w", schema, err)
	}
	return fmt.Sprintf("%s; topic %s with %d partitions", schema, cfg.Kafka.Topic, cfg.Kafka.Partitions), nil
}

func ledgerConfig(cfg config.Config, opts Options) ledger.Config {
	return ledger.Config{DSN: cfg.Database.DSN.Reveal(), MaxConns: cfg.Database.MaxConns, Log: opts.Log}
}
