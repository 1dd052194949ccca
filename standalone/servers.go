package standalone

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	_ "github.com/twmb/franz-go/pkg/kversion" // keeps franz-go at a version that kfake builds with; its own go.mod asks for an older one

	"github.com/firstcome/firstcome/core/support/config"
)

// startKafka starts the embedded journal on the folder. Without SyncWrites an acknowledged record could be lost with
// the machine's power, and an acknowledgement is what a promise rests on.
func startKafka(f *folder, log *slog.Logger) (*kfake.Cluster, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(f.file(journalDir)),
		kfake.SyncWrites(),
		kfake.WithLogger(kafkaLog{log}),
	)
	if err != nil {
		return nil, fmt.Errorf("start the embedded Kafka on %s: %w", f.file(journalDir), err)
	}
	return cluster, nil
}

// kafkaLog passes on what the embedded Kafka says about trouble; the rest is about its inside.
type kafkaLog struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (k kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		k.log.Error(fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		k.log.Warn(fmt.Sprintf(format, args...))
	default:
	}
}

// embed points cfg at the embedded servers. Whatever was configured for them is left out, with a word about it.
func embed(cfg config.Config, f *folder, brokers []string, redisAddr string, log *slog.Logger) config.Config {
	for _, key := range config.OfEmbeddedServers() {
		if from, given := cfg.Given(key); given {
			log.Warn("left out: standalone brings this server itself", "key", key, "from", from)
		}
	}
	defaults := config.Default(config.Standalone)
	cfg.Redis = defaults.Redis
	cfg.Redis.Addrs = []string{redisAddr}
	cfg.Kafka.Brokers = brokers
	cfg.Kafka.Replication = 1
	cfg.Database.DSN = config.Secret("sqlite:" + f.file(ledgerFile))
	return cfg
}

// writeAddresses tells other programs of this machine where the embedded servers listen; the lines have the form of
// the environment of the roles.
func writeAddresses(f *folder, cfg config.Config) error {
	lines := "FIRSTCOME_KAFKA_BROKERS=" + strings.Join(cfg.Kafka.Brokers, ",") + "\n" +
		"FIRSTCOME_REDIS_ADDRS=" + strings.Join(cfg.Redis.Addrs, ",") + "\n" +
		"FIRSTCOME_DATABASE_DSN=" + cfg.Database.DSN.Reveal() + "\n"
	if err := os.WriteFile(f.file(addressFile), []byte(lines), 0o600); err != nil {
		return fmt.Errorf("tell where the embedded servers listen: %w", err)
	}
	return nil
}
