package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func ofRedis(f Facts) (bool, error) { return f.Redis != nil || f.RedisErr != nil, f.RedisErr }

func redisRules() []rule {
	const setRedis = "CONFIG SET and redis.conf: "
	return []rule{
		{
			name: "redis_role", want: "a server that takes writes",
			risk: "a replica refuses every claim; one that can be written to loses them at its next synchronisation",
			set:  "redis.addrs: the primary; or redis.mode sentinel with redis.master_name", applies: ofRedis, judge: eachNode(judgeRole),
		},
		{
			name: "redis_version", want: "Redis 5 or later; tested with 7",
			risk: "older servers refuse scripts that read the clock before they write",
			set:  "a newer server", applies: ofRedis, judge: eachNode(judgeRedisVersion),
		},
		{
			name: "redis_rights", want: "the user may give every command of the gate's scripts on the keys fc:*",
			risk: "a script that is refused half way keeps what it wrote: its coupon is shut until a rebuild, which is refused too",
			set:  "ACL SETUSER <user> ~fc:* +@read +@write +@scripting +info +time +ping", applies: ofRedis, judge: eachNode(judgeRights),
		},
		{
			name: "redis_eviction", want: "maxmemory-policy noeviction",
			risk: "each evicted key shuts its coupon until the gate is rebuilt, again and again while memory is full: nothing promised is " +
				"lost, and nobody is served",
			set: setRedis + "maxmemory-policy noeviction", applies: ofRedis, judge: eachNode(judgeEviction),
		},
		{
			name: "redis_persistence", want: "any, or none, and files that can be written",
			risk: "losing it costs a rebuild of every gate, as every restart does; but a server that cannot write its files refuses " +
				"every write: 503 for all",
			set:     "free the disk of Redis, or " + setRedis + "stop-writes-on-bgsave-error no; appendfsync everysec",
			applies: ofRedis, judge: eachNode(judgePersistence),
		},
		{
			name: "redis_replica_lag", want: "redis.replica_max_lag above zero and at least min-replicas-max-lag where there are replicas",
			risk: "a replica that is promoted without a rebuild's mark goes on deciding under the old epoch: promises after that are broken",
			set:  "redis.replica_max_lag (FIRSTCOME_REDIS_REPLICA_MAX_LAG): min-replicas-max-lag and a second", applies: ofRedis,
			judge: func(f Facts) verdict { return eachNode(judgeReplicaLag(f))(f) },
		},
		{
			name: "redis_min_replicas", want: "min-replicas-to-write 1 or more where a failover may happen",
			risk: "a primary that is cut off goes on promising beside its successor: what it promises has no place after that",
			set:  setRedis + "min-replicas-to-write 1, min-replicas-max-lag 10", applies: ofRedis,
			judge: func(f Facts) verdict { return eachNode(judgeMinReplicas(f))(f) },
		},
		{
			name: "redis_cluster", want: "the cluster's state is ok",
			risk: "coupons whose slots nobody serves are answered 503",
			set:  "CLUSTER INFO on a node tells more; redis-cli --cluster fix",
			applies: func(f Facts) (bool, error) {
				return f.RedisErr != nil || f.Redis != nil && f.Redis.Mode == "cluster", f.RedisErr
			},
			judge: func(f Facts) verdict {
				switch f.Redis.ClusterState {
				case "ok":
					return fine("ok, %d masters", len(f.Redis.Nodes))
				case "":
					return untold("CLUSTER INFO was not answered")
				default:
					return found(Risky, "%s", f.Redis.ClusterState)
				}
			},
		},
	}
}

// eachNode judges every node and tells the worst; of several nodes that are as bad, the first.
func eachNode(judge func(RedisNode) verdict) func(Facts) verdict {
	return func(f Facts) verdict {
		if len(f.Redis.Nodes) == 0 {
			return untold("no server was found that takes writes")
		}
		worst, at := judge(f.Redis.Nodes[0]), f.Redis.Nodes[0].Addr
		for _, n := range f.Redis.Nodes[1:] {
			if v := judge(n); rank(v.severity) < rank(worst.severity) {
				worst, at = v, n.Addr
			}
		}
		if len(f.Redis.Nodes) > 1 && worst.severity != Fine {
			worst.is = at + ": " + worst.is
		}
		return worst
	}
}

// rank orders verdicts, the worst first. What is not known is worse than advice: there may be anything behind it.
func rank(s Severity) int {
	return slices.Index([]Severity{Breaks, Risky, "", Advice, Fine}, s)
}

func judgeRole(n RedisNode) verdict {
	switch role := n.Info["role"]; role {
	case "master":
		return fine("master")
	case "":
		return untold("INFO does not tell the role")
	default:
		return found(Breaks, "a replica (role:%s) of %s", role, n.Info["master_host"])
	}
}

func judgeRedisVersion(n RedisNode) verdict {
	version := n.Info["redis_version"]
	if version == "" {
		return untold("INFO does not tell the version")
	}
	major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	switch {
	case err != nil:
		return untold("%q is no version", version)
	case major < 5:
		return found(Breaks, "%s", version)
	case major < 6:
		return found(Advice, "%s, with which nobody tested", version)
	default:
		return fine("%s", version)
	}
}

func judgeRights(n RedisNode) verdict {
	if len(n.Denied) > 0 {
		return found(Breaks, "refused: %s", strings.Join(n.Denied, ", "))
	}
	return fine("all of them")
}

func judgeEviction(n RedisNode) verdict {
	policy := n.Info["maxmemory_policy"]
	if policy == "" {
		policy = n.Config["maxmemory-policy"]
	}
	switch policy {
	case "":
		return untold("neither INFO memory nor CONFIG GET maxmemory-policy was answered")
	case "noeviction":
		return fine("noeviction")
	default: // also without a limit now: setting one takes a word
		return found(Breaks, "%s, maxmemory %s", policy, n.Info["maxmemory"])
	}
}

func judgePersistence(n RedisNode) verdict {
	aof, told := n.Info["aof_enabled"]
	if !told {
		return untold("INFO persistence was not answered")
	}
	var has []string
	if aof == "1" {
		fsync := n.Config["appendfsync"]
		has = append(has, strings.TrimSpace("append-only file "+fsync))
		if status := n.Info["aof_last_write_status"]; status != "" && status != "ok" {
			return found(Risky, "the last write of the append-only file: %s", status)
		}
		if fsync == "always" {
			return found(Advice, "appendfsync always: each claim waits for Redis' disk, and nothing rests on it")
		}
	}
	if save := n.Config["save"]; save != "" {
		has = append(has, "snapshots")
		stops := n.Config["stop-writes-on-bgsave-error"] != "no"
		if status := n.Info["rdb_last_bgsave_status"]; stops && status != "" && status != "ok" {
			return found(Risky, "the last snapshot: %s, and stop-writes-on-bgsave-error is set", status)
		}
	}
	if len(has) == 0 {
		return fine("none; a restart rebuilds every gate, as it does with files")
	}
	return fine("%s", strings.Join(has, ", "))
}

// fails over says whether a replica takes over without a person: then what it may lack counts.
func failsOver(f Facts) bool { return f.Redis.Mode == "cluster" || f.Redis.Mode == "sentinel" }

// worse is for what matters at a failover: it breaks a guarantee where failovers come by themselves, and is risky where
// somebody has to make one.
func worse(f Facts) Severity {
	if failsOver(f) {
		return Breaks
	}
	return Risky
}

func replicasOf(n RedisNode) (int, bool) {
	count, err := strconv.Atoi(n.Info["connected_slaves"])
	return count, err == nil
}

// minReplicas are the server's two settings; the first is 0 when a primary without replicas goes on.
func minReplicas(n RedisNode) (least int, lag time.Duration, known bool) {
	text, told := n.Config["min-replicas-to-write"]
	if !told {
		// INFO has this field only while both settings are above zero.
		_, on := n.Info["min_slaves_good_slaves"]
		if on {
			return 1, 0, true
		}
		return 0, 0, n.Info["role"] != ""
	}
	least, err := strconv.Atoi(text)
	if err != nil {
		return 0, 0, false
	}
	seconds, err := strconv.Atoi(n.Config["min-replicas-max-lag"])
	if err != nil {
		return least, 0, true
	}
	if seconds == 0 { // either of them at zero turns both off
		return 0, 0, true
	}
	return least, time.Duration(seconds) * time.Second, true
}

func judgeReplicaLag(f Facts) func(RedisNode) verdict {
	return func(n RedisNode) verdict {
		replicas, known := replicasOf(n)
		least, lag, minKnown := minReplicas(n)
		ours := f.Config.ReplicaMaxLag
		switch {
		case !known:
			return untold("INFO replication does not tell the replicas")
		case replicas == 0 && f.Redis.Mode != "sentinel":
			return fine("no replicas; redis.replica_max_lag %v", ours)
		case ours == 0:
			return found(worse(f), "%d replicas, redis.replica_max_lag 0s", replicas)
		case minKnown && least > 0 && ours < lag:
			return found(worse(f), "redis.replica_max_lag %v, and a primary writes on for %v without its replicas", ours, lag)
		default:
			return fine("%d replicas, redis.replica_max_lag %v", replicas, ours)
		}
	}
}

func judgeMinReplicas(f Facts) func(RedisNode) verdict {
	return func(n RedisNode) verdict {
		replicas, known := replicasOf(n)
		least, lag, minKnown := minReplicas(n)
		switch {
		case !known || !minKnown:
			return untold("neither INFO replication nor CONFIG GET min-replicas-* was answered")
		case replicas == 0 && f.Redis.Mode != "sentinel":
			return fine("no replicas")
		case least == 0:
			return found(worse(f), "%d replicas, and a primary without them writes on", replicas)
		case lag == 0:
			return fine("set")
		default:
			return fine("%s", fmt.Sprintf("%d, lag %v", least, lag))
		}
	}
}
