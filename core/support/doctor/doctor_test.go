package doctor_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/doctor"
)

const d = doctor.Breaks // short for the tables below

// good are the facts of a well kept system: three brokers, sentinels, MySQL.
func good() doctor.Facts {
	return doctor.Facts{
		Config: doctor.Config{Role: "api", Partitions: 12, MaxConns: 16, ReplicaMaxLag: 11 * time.Second},
		Redis: &doctor.Redis{Mode: "sentinel", Nodes: []doctor.RedisNode{{
			Addr: "r:6379",
			Info: doctor.Settings{
				"role": "master", "redis_version": "7.2.4", "maxmemory": "0", "maxmemory_policy": "noeviction", "aof_enabled": "1",
				"aof_last_write_status": "ok", "rdb_last_bgsave_status": "ok", "connected_slaves": "2",
			},
			Config: doctor.Settings{
				"appendfsync": "everysec", "save": "3600 1", "stop-writes-on-bgsave-error": "yes", "min-replicas-to-write": "1",
				"min-replicas-max-lag": "10", "maxmemory-policy": "noeviction",
			},
			Clock: doctor.Clock{Known: true, Offset: 3 * time.Millisecond, Uncertainty: time.Millisecond},
		}}},
		Kafka: &doctor.Kafka{
			Brokers: 3, Partitions: 12, Copies: 3,
			Topic: doctor.Settings{
				"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "retention.ms": "-1", "retention.bytes": "-1",
				"cleanup.policy": "delete", "max.message.bytes": "1048588",
			},
			BrokerSets: []doctor.Settings{{"auto.create.topics.enable": "false", "offsets.retention.minutes": "10080"}},
		},
		Database: &doctor.Database{
			Dialect: "mysql", Version: "8.0.39", SchemaHave: 4, SchemaNeed: 4,
			Session: doctor.Settings{
				"transaction_isolation": "READ-COMMITTED", "sql_mode": "STRICT_TRANS_TABLES,STRICT_ALL_TABLES", "time_zone": "+00:00",
				"autocommit": "ON", "wait_timeout": "5",
			},
			Global: doctor.Settings{
				"innodb_flush_log_at_trx_commit": "1", "log_bin": "ON", "sync_binlog": "1", "innodb_doublewrite": "ON",
				"max_allowed_packet": "67108864", "max_connections": "151", "read_only": "OFF", "super_read_only": "OFF",
			},
			Columns: []doctor.Column{{Table: "issues", Name: "user_id", Collation: "ascii_bin"}},
			Engines: doctor.Settings{"issues": "InnoDB"},
			Clock:   doctor.Clock{Known: true, Offset: -2 * time.Millisecond, Uncertainty: time.Millisecond},
		},
		Host: doctor.Host{Files: 65536},
	}
}

// worse are the names of what is not fine, with how bad it is; "not known" for what could not be told.
func worse(r doctor.Report) map[string]doctor.Severity {
	found := map[string]doctor.Severity{}
	for _, x := range r {
		switch {
		case x.Unknown != "":
			found[x.Name] = "not known"
		case x.Severity != doctor.Fine:
			found[x.Name] = x.Severity
		}
	}
	return found
}

func TestAWellKeptSystemHasNothingToSay(t *testing.T) {
	t.Parallel()
	report := doctor.Judge(good())
	assert.Empty(t, worse(report))
	assert.Subset(t, doctor.Names(), report.Names())
	for _, r := range report {
		assert.NotEmpty(t, r.Want, r.Name)
		assert.NotEmpty(t, r.Is, r.Name)
		assert.NotEmpty(t, r.Risk, r.Name)
		assert.NotEmpty(t, r.Set, r.Name)
	}
	names := doctor.Names()
	slices.Sort(names)
	assert.Equal(t, slices.Compact(slices.Clone(names)), names, "no name twice")
}

// TestEachBadSettingIsFoundAndNothingElse changes one thing at a time. A finding that is missing, or one too many, fails.
func TestEachBadSettingIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	type found = map[string]doctor.Severity
	redis := func(name, value string) func(*doctor.Facts) {
		return func(f *doctor.Facts) { f.Redis.Nodes[0].Info[name] = value }
	}
	redisConfig := func(name, value string) func(*doctor.Facts) {
		return func(f *doctor.Facts) { f.Redis.Nodes[0].Config[name] = value }
	}
	topic := func(name, value string) func(*doctor.Facts) {
		return func(f *doctor.Facts) { f.Kafka.Topic[name] = value }
	}
	global := func(name, value string) func(*doctor.Facts) {
		return func(f *doctor.Facts) { f.Database.Global[name] = value }
	}
	session := func(name, value string) func(*doctor.Facts) {
		return func(f *doctor.Facts) { f.Database.Session[name] = value }
	}
	kafka := func(brokers, copies int, minInsync string) func(*doctor.Facts) {
		return func(f *doctor.Facts) {
			f.Kafka.Brokers, f.Kafka.Copies = brokers, copies
			f.Kafka.Topic["min.insync.replicas"] = minInsync
		}
	}
	single := func(also func(*doctor.Facts)) func(*doctor.Facts) {
		return func(f *doctor.Facts) { f.Redis.Mode = "single"; also(f) }
	}
	for name, c := range map[string]struct {
		change func(*doctor.Facts)
		want   found
	}{
		"a replica":             {redis("role", "slave"), found{"redis_role": d}},
		"an old Redis":          {redis("redis_version", "4.0.14"), found{"redis_version": d}},
		"an untested Redis":     {redis("redis_version", "5.0.7"), found{"redis_version": doctor.Advice}},
		"a right is missing":    {func(f *doctor.Facts) { f.Redis.Nodes[0].Denied = []string{"HSET"} }, found{"redis_rights": d}},
		"evicting all":          {redis("maxmemory_policy", "allkeys-lru"), found{"redis_eviction": d}},
		"evicting what expires": {redis("maxmemory_policy", "volatile-ttl"), found{"redis_eviction": d}},
		"no files of Redis":     {func(f *doctor.Facts) { redis("aof_enabled", "0")(f); redisConfig("save", "")(f) }, found{}},
		"appendfsync always":    {redisConfig("appendfsync", "always"), found{"redis_persistence": doctor.Advice}},
		"a snapshot failed":     {redis("rdb_last_bgsave_status", "err"), found{"redis_persistence": doctor.Risky}},
		"the AOF fails":         {redis("aof_last_write_status", "err"), found{"redis_persistence": doctor.Risky}},
		"no wait for replicas":  {func(f *doctor.Facts) { f.Config.ReplicaMaxLag = 0 }, found{"redis_replica_lag": d}},
		"too short a wait":      {func(f *doctor.Facts) { f.Config.ReplicaMaxLag = 9 * time.Second }, found{"redis_replica_lag": d}},
		"a primary alone":       {redisConfig("min-replicas-to-write", "0"), found{"redis_min_replicas": d}},
		"alone by the lag":      {redisConfig("min-replicas-max-lag", "0"), found{"redis_min_replicas": d}},
		"single, a replica":     {single(func(f *doctor.Facts) { f.Config.ReplicaMaxLag = 0 }), found{"redis_replica_lag": doctor.Risky}},
		"single, primary alone": {single(redisConfig("min-replicas-to-write", "0")), found{"redis_min_replicas": doctor.Risky}},
		"single, no replicas":   {single(func(f *doctor.Facts) { redis("connected_slaves", "0")(f); f.Config.ReplicaMaxLag = 0 }), found{}},
		"partitions were added": {func(f *doctor.Facts) { f.Kafka.Partitions = 24 }, found{"kafka_partitions": d}},
		"fewer partitions":      {func(f *doctor.Facts) { f.Kafka.Partitions = 6 }, found{"kafka_partitions": doctor.Risky}},
		"one copy of three":     {kafka(3, 1, "1"), found{"kafka_replication": d}},
		"one broker":            {kafka(1, 1, "1"), found{"kafka_replication": doctor.Risky}},
		"two brokers":           {kafka(2, 2, "1"), found{"kafka_replication": doctor.Risky, "kafka_min_insync": doctor.Risky}},
		"two copies, both acks": {kafka(3, 2, "2"), found{"kafka_replication": doctor.Risky, "kafka_min_insync": doctor.Advice}},
		"one ack of three":      {kafka(3, 3, "1"), found{"kafka_min_insync": d}},
		"all three acks":        {kafka(3, 3, "3"), found{"kafka_min_insync": doctor.Advice}},
		"more acks than copies": {kafka(4, 3, "4"), found{"kafka_min_insync": d}},
		"unclean election":      {topic("unclean.leader.election.enable", "true"), found{"kafka_unclean_election": d}},
		"a day of retention":    {topic("retention.ms", "86400000"), found{"kafka_retention": d}},
		"a week of retention":   {topic("retention.ms", "604800000"), found{"kafka_retention": doctor.Risky}},
		"for ever, nearly":      {topic("retention.ms", "9223372036854775807"), found{"kafka_retention": doctor.Risky}},
		"retention by size":     {topic("retention.bytes", "1073741824"), found{"kafka_retention": d}},
		"compaction":            {topic("cleanup.policy", "compact,delete"), found{"kafka_cleanup": d}},
		"small messages":        {topic("max.message.bytes", "500000"), found{"kafka_message_size": doctor.Risky}},
		"tiny messages":         {topic("max.message.bytes", "1000"), found{"kafka_message_size": d}},
		"auto creation":         {func(f *doctor.Facts) { f.Kafka.BrokerSets[0]["auto.create.topics.enable"] = "true" }, found{"kafka_auto_create": doctor.Advice}},
		"offsets for a day":     {func(f *doctor.Facts) { f.Kafka.BrokerSets[0]["offsets.retention.minutes"] = "1440" }, found{"kafka_offsets_retention": doctor.Advice}},
		"no schema":             {func(f *doctor.Facts) { f.Database.SchemaHave = 0 }, found{"database_schema": d}},
		"a schema ahead":        {func(f *doctor.Facts) { f.Database.SchemaHave = 5 }, found{"database_schema": d}},
		"snapshots by default":  {session("transaction_isolation", "REPEATABLE-READ"), found{"database_session": d}},
		"not strict":            {session("sql_mode", "NO_ENGINE_SUBSTITUTION"), found{"database_session": d}},
		"another zone":          {session("time_zone", "SYSTEM"), found{"database_session": d}},
		"no autocommit":         {session("autocommit", "OFF"), found{"database_session": d}},
		"long waits":            {session("wait_timeout", "28800"), found{"database_session": d}},
		"lazy commits":          {global("innodb_flush_log_at_trx_commit", "2"), found{"database_durability": d}},
		"a lazy binary log":     {global("sync_binlog", "0"), found{"database_durability": d}},
		"no binary log":         {func(f *doctor.Facts) { global("sync_binlog", "0")(f); global("log_bin", "OFF")(f) }, found{}},
		"torn pages":            {global("innodb_doublewrite", "OFF"), found{"database_doublewrite": doctor.Risky}},
		"detect only":           {global("innodb_doublewrite", "DETECT_AND_RECOVER"), found{}},
		"case does not count":   {func(f *doctor.Facts) { f.Database.Columns[0].Collation = "ascii_general_ci" }, found{"database_columns": d}},
		"no transactions":       {func(f *doctor.Facts) { f.Database.Engines["gates"] = "MyISAM" }, found{"database_engine": d}},
		"no CHECK":              {func(f *doctor.Facts) { f.Database.Version = "8.0.15" }, found{"database_check": doctor.Advice}},
		"small packets":         {global("max_allowed_packet", "1048576"), found{"database_packet": doctor.Risky}},
		"few connections":       {global("max_connections", "48"), found{"database_connections": doctor.Risky}},
		"read only":             {global("read_only", "ON"), found{"database_read_only": doctor.Risky}},
		"Redis is early":        {func(f *doctor.Facts) { f.Redis.Nodes[0].Clock.Offset = 5 * time.Second }, found{"clock_redis": doctor.Risky}},
		"the database is late":  {func(f *doctor.Facts) { f.Database.Clock.Offset = -5 * time.Second }, found{"clock_database": doctor.Risky}},
		"a slow answer": {func(f *doctor.Facts) {
			f.Database.Clock = doctor.Clock{Known: true, Offset: 2 * time.Second, Uncertainty: 2 * time.Second}
		}, found{}},
		"few files":           {func(f *doctor.Facts) { f.Host.Files = 1024 }, found{"host_files": doctor.Risky}},
		"few files for a job": {func(f *doctor.Facts) { f.Host.Files, f.Config.Role = 1024, "batch" }, found{}},
		"limited and forgetful": {func(f *doctor.Facts) {
			f.Kafka.BrokerSets[0]["offsets.retention.minutes"] = "1440"
			f.Kafka.Topic["retention.ms"] = "2592000000"
		}, found{"kafka_retention": doctor.Risky, "kafka_offsets_retention": doctor.Risky}},
		"a cluster that is down": {func(f *doctor.Facts) {
			f.Redis.Mode, f.Redis.ClusterState = "cluster", "fail"
		}, found{"redis_cluster": doctor.Risky}},
		"one bad node of two": {func(f *doctor.Facts) {
			f.Redis.Mode, f.Redis.ClusterState = "cluster", "ok"
			bad := f.Redis.Nodes[0]
			bad.Info = maps.Clone(bad.Info)
			bad.Info["maxmemory_policy"] = "allkeys-lfu"
			f.Redis.Nodes = append(f.Redis.Nodes, bad)
		}, found{"redis_eviction": d}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good()
			c.change(&f)
			assert.Equal(t, c.want, worse(doctor.Judge(f)))
		})
	}
}

// A single machine cannot do better than one broker beside a ledger in a file.
func TestTheEmbeddedStackHasNothingToSay(t *testing.T) {
	t.Parallel()
	f := good()
	f.Config.Role, f.Config.ReplicaMaxLag = "standalone", 0
	f.Kafka.Brokers, f.Kafka.Copies, f.Kafka.Topic["min.insync.replicas"] = 1, 1, "1"
	delete(f.Kafka.BrokerSets[0], "auto.create.topics.enable")
	f.Redis = &doctor.Redis{Mode: "single", Nodes: []doctor.RedisNode{{Info: doctor.Settings{
		"role": "master", "redis_version": "7.4.0", "maxmemory": "0", "maxmemory_policy": "noeviction", "aof_enabled": "0", "connected_slaves": "0",
	}, Clock: doctor.Clock{Known: true}}}}
	f.Database = &doctor.Database{
		Dialect: "sqlite", Version: "3.50", SchemaHave: 4, SchemaNeed: 4,
		Session: doctor.Settings{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"},
		Disk:    doctor.Disk{Known: true, Free: 20 << 30, Total: 100 << 30},
	}
	assert.Empty(t, worse(doctor.Judge(f)))
	f.Database.Session["synchronous"] = "1"
	f.Database.Disk.Free = 500 << 20
	assert.Equal(t, map[string]doctor.Severity{"database_session": d, "host_disk": doctor.Risky}, worse(doctor.Judge(f)))
}

// Unknown is not no: nothing is broken by what a server does not tell, and nothing is fine by it.
func TestWhatIsNotToldIsNotKnown(t *testing.T) {
	t.Parallel()
	f := good()
	f.Redis, f.RedisErr = nil, errors.New("connection refused")
	f.Kafka.Topic, f.Kafka.TopicErr = nil, errors.New("not authorized")
	f.Kafka.BrokerSets = nil
	f.Database.Session, f.Database.Global, f.Database.Columns, f.Database.Engines, f.Database.Clock = nil, nil, nil, nil, doctor.Clock{}
	report := doctor.Judge(f)
	assert.Empty(t, report.Of(doctor.Breaks))
	for _, r := range report {
		known := slices.Contains([]string{"kafka_partitions", "kafka_replication", "database_schema", "database_check", "host_files"}, r.Name)
		assert.Equal(t, known, r.Unknown == "", r.Name)
		assert.Equal(t, r.Unknown == "connection refused", r.Away, "%s: what to look at by hand is told where the server was reached", r.Name)
	}
	assert.Equal(t, "connection refused", report[0].Unknown)
	assert.ErrorContains(t, &doctor.RefusedError{Role: "api", Findings: report[:1]}, "not known: connection refused")

	f = good()
	f.Redis.Nodes[0].Info, f.Redis.Nodes[0].Config, f.Redis.Nodes[0].Clock = nil, nil, doctor.Clock{}
	for _, r := range doctor.Judge(f) {
		if r.Name == "redis_rights" {
			assert.Empty(t, r.Unknown)
		} else if len(r.Name) > 6 && r.Name[:6] == "redis_" {
			assert.NotEmpty(t, r.Unknown, r.Name)
		}
	}
	f = good()
	f.Redis = nil // and no error: this role has none
	for _, r := range doctor.Judge(f) {
		assert.NotContains(t, r.Name, "redis")
	}
}

func TestARefusalSaysEverythingThatATableDoes(t *testing.T) {
	t.Parallel()
	f := good()
	f.Redis.Nodes[0].Info["maxmemory_policy"] = "allkeys-lru"
	f.Kafka.Topic["cleanup.policy"] = "compact"
	broken := doctor.Judge(f).Of(doctor.Breaks)
	require.Equal(t, []string{"redis_eviction", "kafka_cleanup"}, broken.Names())
	text := (&doctor.RefusedError{Role: "api", Findings: broken}).Error()
	for _, r := range broken {
		for _, words := range []string{r.Name, r.Want, r.Is, r.Risk, r.Set} {
			assert.Contains(t, text, words)
		}
	}
	assert.Contains(t, text, "FIRSTCOME_CHECKS_ALLOW=redis_eviction,kafka_cleanup")
	assert.Equal(t, []string{"kafka_cleanup"}, broken.Without([]string{"redis_eviction"}).Names())
}

func TestAClockIsMeasuredByItsQuickestAnswer(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	trips := []time.Duration{40 * time.Millisecond, 10 * time.Millisecond, 90 * time.Millisecond}
	ahead := 3 * time.Second
	c, err := doctor.Measure(func() time.Time { return now }, func() (time.Time, error) {
		trip := trips[0]
		trips = trips[1:]
		theirs := now.Add(trip / 2).Add(ahead)
		now = now.Add(trip)
		return theirs, nil
	})
	require.NoError(t, err)
	assert.Equal(t, doctor.Clock{Known: true, Offset: ahead, Uncertainty: 5 * time.Millisecond}, c)
	_, err = doctor.Measure(time.Now, func() (time.Time, error) { return time.Time{}, errors.New("away") })
	require.Error(t, err)
}
