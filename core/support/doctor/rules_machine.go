package doctor

import (
	"fmt"
	"time"
)

const (
	// wrongClock is an offset that a person notices: a window that opens a second early is a promise of its own.
	wrongClock = time.Second
	// filesOfAPI is for the connections of an api: a few thousand users, and its own; filesOfJob for the others.
	filesOfAPI = 4096
	filesOfJob = 256
)

func machineRules() []rule {
	const ntp = "chrony or ntpd on every machine"
	return []rule{
		{
			name: "clock_redis", want: fmt.Sprintf("Redis' clock within %v of this host's", wrongClock),
			risk: "windows open and close by Redis' clock: early or late by the offset. No promise rests on a clock, but for one that jumps " +
				"back while it runs",
			set: ntp, applies: ofRedis, judge: func(f Facts) verdict {
				return eachNode(func(n RedisNode) verdict { return judgeClock(n.Clock, "TIME") })(f)
			},
		},
		{
			name: "clock_database", want: fmt.Sprintf("the database's clock within %v of this host's", wrongClock),
			risk: "leases and the backoff of failed events go by the database's clock; issued_at is off",
			set:  ntp, applies: ofServer, judge: func(f Facts) verdict { return judgeClock(f.Database.Clock, "UTC_TIMESTAMP") },
		},
		{
			name: "host_files", want: fmt.Sprintf("%d file descriptors or more for an api, %d for the others", filesOfAPI, filesOfJob),
			risk: "connections beyond them are refused",
			set:  "ulimit -n; LimitNOFILE= of the service", applies: func(f Facts) (bool, error) { return f.Host.Files > 0, nil },
			judge: judgeFiles,
		},
		{
			name: "host_disk", want: fmt.Sprintf("%s free in the folder with the data", bytes(leastDisk)),
			risk: "a full disk stops the ledger: claims are kept in the journal if that has room, and answered 503 if not",
			set:  "free it, or move database.dsn and standalone.data_dir",
			applies: func(f Facts) (bool, error) {
				return f.Database != nil && f.Database.Disk.Known, nil
			},
			judge: judgeDisk,
		},
	}
}

func judgeClock(c Clock, how string) verdict {
	if !c.Known {
		return untold("%s was not answered", how)
	}
	text := fmt.Sprintf("%v ahead, ± %v", c.Offset.Round(time.Millisecond), c.Uncertainty.Round(10*time.Microsecond))
	if c.Offset < 0 {
		text = fmt.Sprintf("%v behind, ± %v", -c.Offset.Round(time.Millisecond), c.Uncertainty.Round(10*time.Microsecond))
	}
	// Only what is beyond the measurement's own error counts: a busy machine answers late and has no wrong clock.
	if c.Offset.Abs()-c.Uncertainty > wrongClock {
		return found(Risky, "%s", text)
	}
	return fine("%s", text)
}

func judgeFiles(f Facts) verdict {
	want := uint64(filesOfJob)
	if f.Config.Role == "api" || f.Config.Role == "standalone" {
		want = filesOfAPI
	}
	if f.Host.Files < want {
		return found(Risky, "%d", f.Host.Files)
	}
	return fine("%d", f.Host.Files)
}

func judgeDisk(f Facts) verdict {
	d := f.Database.Disk
	text := fmt.Sprintf("%s of %s", bytes(d.Free), bytes(d.Total))
	if d.Free < leastDisk {
		return found(Risky, "%s", text)
	}
	return fine("%s", text)
}

// bytes writes a size for people.
func bytes(n uint64) string {
	const unit = 1 << 10
	names := "KMGTPE"
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n)/unit, 0
	for ; value >= unit && i < len(names)-1; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.3g %ciB", value, names[i])
}
