package doctor

import "time"

// Settings are what a server tells of itself, by its own names. A name that is not there was not told.
type Settings map[string]string

// Redis is what is known of the servers that hold the gates.
type Redis struct {
	Mode  string      // redis.mode
	Nodes []RedisNode // those that take writes: one, or the masters of a cluster
	// ClusterState is "ok" or "fail"; empty outside of a cluster.
	ClusterState string
}

// RedisNode is one Redis server.
type RedisNode struct {
	Addr   string
	Info   Settings // INFO, without its sections
	Config Settings // CONFIG GET; nil: it was refused or is not there
	Denied []string // commands that the user of ours may not give
	Clock  Clock
}

// Kafka is what is known of the cluster and the topic.
type Kafka struct {
	Brokers    int        // that are alive
	Partitions int        // of the topic
	Copies     int        // of the partition that has the fewest
	Topic      Settings   // in force for the topic, the brokers' defaults included; nil: not told
	BrokerSets []Settings // of each broker; empty: not told
	TopicErr   error      // why the topic's settings were not told
	BrokerErr  error      // why the brokers' were not
}

// Database is what is known of the server or file that holds the ledger.
type Database struct {
	Dialect    string   // mysql, mariadb or sqlite
	Version    string   // as the server says it
	Session    Settings // in force on a connection of ours
	Global     Settings // of the server
	Columns    []Column // text columns of our tables; empty: not told
	Engines    Settings // table → storage engine; empty: not told
	SchemaHave int64    // version of the schema, 0: none
	SchemaNeed int64    // the one that this build needs
	Clock      Clock
	Disk       Disk // of a file's folder
}

// Column is a column that holds text.
type Column struct{ Table, Name, Collation string }

// Clock is how far another clock is ahead of this host's. The true offset is within Offset ± Uncertainty: the answer was
// made at some time between question and reply.
type Clock struct {
	Known       bool
	Offset      time.Duration
	Uncertainty time.Duration
}

// Disk is the space of one file system, in bytes.
type Disk struct {
	Known       bool
	Free, Total uint64
}

// Host is what is known of this process and its machine.
type Host struct {
	Files uint64 // file descriptors that the process may have; 0: not known
}

// Config is what the judgement depends on of our own settings.
type Config struct {
	Role          string
	Partitions    int           // kafka.partitions
	MaxConns      int           // database.max_conns
	ReplicaMaxLag time.Duration // redis.replica_max_lag
}

// Facts are all that is known. A part that is nil with no error is not this role's.
type Facts struct {
	Config      Config
	Redis       *Redis
	RedisErr    error // why it could not be looked at
	Kafka       *Kafka
	KafkaErr    error
	Database    *Database
	DatabaseErr error
	Host        Host
}

// Measure asks a clock a few times and keeps the quickest answer, whose uncertainty is the smallest. host is this
// host's clock.
func Measure(host func() time.Time, ask func() (time.Time, error)) (Clock, error) {
	const rounds = 3
	var best Clock
	for range rounds {
		before := host()
		theirs, err := ask()
		took := host().Sub(before)
		if err != nil {
			return Clock{}, err
		}
		half := took / 2
		if !best.Known || half < best.Uncertainty {
			best = Clock{Known: true, Offset: theirs.Sub(before.Add(half)), Uncertainty: half}
		}
	}
	return best, nil
}
