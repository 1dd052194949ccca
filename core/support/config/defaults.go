package config

import "time"

// Default is a role's configuration when nothing is given. It is not complete: api, consumer and batch need
// database.dsn, the api a key for its tokens.
func Default(role Role) Config {
	c := Config{
		HTTP: HTTP{
			Addr:              "127.0.0.1:8080",
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       5 * time.Second,
			WriteTimeout:      10 * time.Second,
			IdleTimeout:       time.Minute,
			ShutdownTimeout:   10 * time.Second,
		},
		Ops:   Ops{Addr: opsAddr(role), Profile: "off"},
		Redis: Redis{Mode: "single", Addrs: []string{"127.0.0.1:6379"}},
		Kafka: Kafka{
			Brokers: []string{"127.0.0.1:9092"},
			Topic:   "firstcome.issues.v1", Group: "firstcome-issues",
			Partitions: 12, Replication: 1, Timeout: 10 * time.Second,
		},
		Database:  Database{MaxConns: 16},
		Admission: Admission{AnswerTimeout: 2 * time.Second, MemoryTTL: 500 * time.Millisecond, Queue: 8192, Batch: 128, MemoryBytes: 64 << 20},
		Sweeper:   Sweeper{Every: time.Second, Age: 3 * time.Second, Batch: 128},
		Rebuild:   Rebuild{Lease: 30 * time.Second},
		Consumer:  ConsumerConfig{BatchRecords: 1000, BatchBytes: 1 << 20, BatchWait: 50 * time.Millisecond, StuckAfter: time.Minute},
		Batch: BatchConfig{
			RetryEvery: 5 * time.Second, RetryLimit: 500,
			RebuildEvery: 30 * time.Second, ChangesEvery: 10 * time.Second, ReconcileEvery: 10 * time.Minute,
			Lease: 2 * time.Minute,
		},
		Standalone: StandaloneConfig{DataDir: "./data"},
		Log:        Log{Format: "json", Level: "info"},
	}
	if role == Standalone {
		c.Log.Format = "text"
	}
	return c
}

// opsAddr gives each role a port of its own, so that all of them run on one machine without a word of configuration.
func opsAddr(role Role) string {
	switch role {
	case Consumer:
		return "127.0.0.1:9081"
	case Batch:
		return "127.0.0.1:9082"
	default:
		return "127.0.0.1:9080"
	}
}
