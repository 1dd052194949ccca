package config

import "time"

// Role is one of the programs.
type Role string

// The roles.
const (
	API        Role = "api"
	Consumer   Role = "consumer"
	Batch      Role = "batch"
	Standalone Role = "standalone"
)

// Config is every setting of every role. The tags are the one place that names a key (`key`), bounds it (`range`, both
// ends allowed), lists what it may be (`oneof`) or names its form (`form`); Load and the messages are made from them.
type Config struct {
	HTTP       HTTP             `key:"http"`
	Ops        Ops              `key:"ops"`
	Redis      Redis            `key:"redis"`
	Kafka      Kafka            `key:"kafka"`
	Database   Database         `key:"database"`
	Auth       Auth             `key:"auth"`
	Admission  Admission        `key:"admission"`
	Sweeper    Sweeper          `key:"sweeper"`
	Rebuild    Rebuild          `key:"rebuild"`
	Consumer   ConsumerConfig   `key:"consumer"`
	Batch      BatchConfig      `key:"batch"`
	Standalone StandaloneConfig `key:"standalone"`
	Checks     Checks           `key:"checks"`
	Log        Log              `key:"log"`

	given map[string]string // key → where it was given
}

// HTTP is the public listener of the api.
type HTTP struct {
	// Addr is where the api listens; port 0 takes any free one.
	Addr string `key:"addr" form:"addr"`
	// ReadHeaderTimeout bounds a client that sends its request line and headers slowly. It also ends a connection that
	// has never sent anything, of which Go's clients keep spare ones: much below 10 s and their next POST may find it cut.
	ReadHeaderTimeout time.Duration `key:"read_header_timeout" range:"100ms..1m"`
	// ReadTimeout bounds the whole request; bodies have at most 64 KiB.
	ReadTimeout time.Duration `key:"read_timeout" range:"100ms..5m"`
	// WriteTimeout counts from the end of the headers to the end of the answer; above admission.answer_timeout, or the
	// connection would be cut before the answer that says "repeat".
	WriteTimeout time.Duration `key:"write_timeout" range:"200ms..5m"`
	// IdleTimeout is how long a connection is kept for the next request.
	IdleTimeout time.Duration `key:"idle_timeout" range:"1s..1h"`
	// DrainDelay is for how long an api that was asked to stop goes on as before while /readyz says that it stops: as
	// long as the load balancers need to notice and send no more. 0 where none asks.
	DrainDelay time.Duration `key:"drain_delay" range:"0s..5m"`
	// ShutdownTimeout is for answering what was taken before the stop; at least admission.answer_timeout.
	ShutdownTimeout time.Duration `key:"shutdown_timeout" range:"100ms..5m"`
	// UserRate is how many requests a second one user (`sub`) may make, never counted by address; 0 is without limit.
	UserRate float64 `key:"user_rate" range:"0..100000"`
}

// Ops is the listener for /livez, /readyz and /metrics; each role has its own, standalone one for all.
type Ops struct {
	// Addr has no authentication behind it: keep it on loopback or on a network of your own.
	Addr string `key:"addr" form:"addr"`
	// Profile on adds /debug/pprof/, with which whoever reaches the listener can make the process work and look into it.
	Profile string `key:"profile" oneof:"off,on"`
}

// Redis is where the gates are.
type Redis struct {
	Mode       string   `key:"mode" oneof:"single,cluster,sentinel"`
	Addrs      []string `key:"addrs" form:"addrs"` // single: one; cluster: seeds; sentinel: the sentinels
	DB         int      `key:"db" range:"0..1023"` // a cluster has only 0
	MasterName string   `key:"master_name"`        // sentinel only
	Username   string   `key:"username"`
	Password   Secret   `key:"password"`
	// ReplicaMaxLag is how far a replica that may become the master can be behind; a rebuild waits that long after its
	// mark (rule 18). 0: there are no replicas.
	ReplicaMaxLag time.Duration `key:"replica_max_lag" range:"0s..5m"`
}

// Kafka is where the journal is.
type Kafka struct {
	Brokers []string `key:"brokers" form:"addrs"`
	Topic   string   `key:"topic" form:"topic"`
	Group   string   `key:"group" form:"topic"` // the consumers' group; a rebuild reads its committed offsets
	// Partitions of the topic when `batch migrate` makes it: the most consumers that can share the work.
	Partitions int `key:"partitions" range:"1..1000"`
	// Replication is the replication factor of the topic when `batch migrate` makes it; 3 on a real cluster.
	Replication int `key:"replication" range:"1..9"`
	// Timeout bounds one exchange with a broker, connecting included.
	Timeout time.Duration `key:"timeout" range:"100ms..1m"`
}

// Database is where the ledger is.
type Database struct {
	// DSN is `user:password@tcp(host:3306)/name` for MySQL and MariaDB, or `sqlite:PATH`.
	DSN Secret `key:"dsn" form:"dsn"`
	// MaxConns bounds the connections of this process; over all processes it must fit the server's max_connections
	// (151 by default on MySQL).
	MaxConns int `key:"max_conns" range:"1..1000"`
}

// Auth says whose tokens are believed: those signed with the shared secret, or those of the keys at the URL.
type Auth struct {
	HS256Secret Secret `key:"hs256_secret" form:"secret"` // at least MinSecret bytes
	JWKSURL     string `key:"jwks_url" form:"url"`
}

// MinSecret is the least length of auth.hs256_secret in bytes: that of the hash (RFC 7518, 3.2).
const MinSecret = 32

// Admission is how the api decides claims.
type Admission struct {
	// AnswerTimeout is the longest a claim waits for gate and journal; then it is answered "repeat, nothing is undone".
	AnswerTimeout time.Duration `key:"answer_timeout" range:"50ms..1m"`
	// MemoryTTL is M of the protocol: how long an api may refuse from memory after its last look at the gate, and so how
	// long a raise, a reopening and a rebuild wait. All apis and batch must have the same.
	MemoryTTL time.Duration `key:"memory_ttl" range:"10ms..10s"`
	// Queue is how many claims may wait in this process for the next call to the gate; more are answered 503. Each has
	// about 300 bytes and, at 20,000 claims a second, 8,192 are 0.4 s of work, well within AnswerTimeout.
	Queue int `key:"queue" range:"1..1000000"`
	// Batch is how many claims one call to the gate decides at most (admission.MaxBatch).
	Batch int `key:"batch" range:"1..128"`
	// MemoryBytes bounds what an api remembers of the holders of coupons that refuse everybody else, 1.8 bytes each. What
	// has no room in it is asked of the gate.
	MemoryBytes int `key:"memory_bytes" range:"65536..17179869184"`
}

// Sweeper is the api's part that journals places whose claimant went away (rule 9).
type Sweeper struct {
	// Every is the pause between two walks over the live coupons.
	Every time.Duration `key:"every" range:"50ms..1m"`
	// Age is how long a place is left pending before it is swept; at least admission.answer_timeout, or the sweeper
	// would do the work of claims that are still being answered.
	Age time.Duration `key:"age" range:"50ms..10m"`
	// Batch is how many places of one coupon are swept at a time (admission.MaxBatch at most).
	Batch int `key:"batch" range:"1..128"`
}

// Rebuild is how a lost gate is brought back (rules 16 to 25).
type Rebuild struct {
	// Lease is how long others leave a tag to the one who rebuilds it. It saves work; safety does not rest on it.
	Lease time.Duration `key:"lease" range:"1s..10m"`
}

// ConsumerConfig is how journal records become rows.
type ConsumerConfig struct {
	// BatchRecords is the most records in one transaction; 500 to 1000 is where bulk inserts are fastest.
	BatchRecords int `key:"batch_records" range:"1..10000"`
	// BatchBytes is the most bytes of a partition's records in one transaction; it bounds the memory of a partition.
	BatchBytes int `key:"batch_bytes" range:"1024..67108864"`
	// BatchWait is how long a partition's records gather after a batch of it began, unless there are BatchRecords sooner.
	// It is most of the time from "accepted" to "issued" while claims come, and divides what they cost the database.
	BatchWait time.Duration `key:"batch_wait" range:"0s..10s"`
	// StuckAfter is how long no attempt to write may end before /livez fails, so that the process is started anew. A
	// database that is down ends attempts (with errors) and is no reason.
	StuckAfter time.Duration `key:"stuck_after" range:"5s..1h"`
}

// BatchConfig is the schedule of `batch serve`.
type BatchConfig struct {
	// RetryEvery is the pause between two looks for failed events that are due; their own backoff begins at 10 s.
	RetryEvery time.Duration `key:"retry_every" range:"100ms..24h"`
	// RetryLimit is how many failed events one look takes.
	RetryLimit int `key:"retry_limit" range:"1..10000"`
	// RebuildEvery is the pause between two walks over the gates for unsound ones; the apis notice them sooner.
	RebuildEvery time.Duration `key:"rebuild_every" range:"100ms..24h"`
	// ChangesEvery is the pause between two looks for changes and publications left half done (rules 26 and 29).
	ChangesEvery time.Duration `key:"changes_every" range:"100ms..24h"`
	// ReconcileEvery is the pause between two comparisons of database, log and gates, with the repair of what can be
	// repaired; each reads all of the three books: about a minute for some million issues, within Lease.
	ReconcileEvery time.Duration `key:"reconcile_every" range:"10s..24h"`
	// Lease is how long another instance leaves a job to the one that runs it; a job that takes longer is stopped, and
	// the next run goes on.
	Lease time.Duration `key:"lease" range:"5s..24h"`
}

// StandaloneConfig is the embedded stack.
type StandaloneConfig struct {
	DataDir string `key:"data_dir"` // journal, ledger, secret and lock file; made when missing
}

// Checks are those of `batch doctor`, which every role makes at its start.
type Checks struct {
	// Allow names checks that may find what breaks a guarantee: the role starts all the same, and says so each time.
	Allow []string `key:"allow" form:"checks"`
}

// Log is how the role logs, to standard error.
type Log struct {
	Format string `key:"format" oneof:"json,text"`
	Level  string `key:"level" oneof:"debug,info,warn,error"`
}
