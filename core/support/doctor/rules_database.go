package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

const (
	// leastPacket is above the largest statement: 100 failed events of 8 KiB, escaped at most twice as long.
	leastPacket = 4 << 20
	// leastDisk is what a folder must have free: a day of a busy sale.
	leastDisk = 1 << 30
)

func ofDatabase(f Facts) (bool, error) {
	return f.Database != nil || f.DatabaseErr != nil, f.DatabaseErr
}

// ofServer is for rules that a file has no use for.
func ofServer(f Facts) (bool, error) {
	if f.Database != nil && f.Database.Dialect == "sqlite" {
		return false, nil
	}
	return ofDatabase(f)
}

func databaseRules() []rule {
	const setMySQL = "SET GLOBAL and my.cnf: "
	return []rule{
		{
			name: "database_schema", want: "the schema of this build",
			risk: "statements fail: nothing is written",
			set:  "batch migrate, before the roles of a new build start", applies: ofDatabase, judge: judgeSchema,
		},
		{
			name: "database_session", want: "READ COMMITTED, strict, UTC, autocommit, wait_timeout 5 on every connection (a file: WAL, synchronous FULL)",
			risk: "the product sets it at each connection; a pool between that forgets it lets a stale barrier be read, texts be cut, and a " +
				"stopped consumer hold its locks",
			set:     "no proxy that multiplexes sessions between us and the server; on MySQL the right to SET SESSION",
			applies: ofDatabase, judge: judgeSession,
		},
		{
			name: "database_durability", want: "innodb_flush_log_at_trx_commit 1; sync_binlog 1 where there is a binary log",
			risk: "a commit is lost when the machine loses power; its offset is committed, so nobody writes the row again",
			set:  setMySQL + "innodb_flush_log_at_trx_commit = 1, sync_binlog = 1", applies: ofServer, judge: judgeDurability,
		},
		{
			name: "database_doublewrite", want: "innodb_doublewrite on",
			risk: "a page that was half written when the power went cannot be repaired: restore a backup",
			set:  "my.cnf: innodb_doublewrite = ON, unless the file system writes pages whole", applies: ofServer, judge: judgeDoublewrite,
		},
		{
			name: "database_columns", want: "every text column of our tables compares byte for byte (…_bin)",
			risk: "alice is a duplicate of Alice: the second one's promise is lost",
			set:  "the columns as core/ledger/migrations has them", applies: ofServer, judge: judgeColumns,
		},
		{
			name: "database_engine", want: "InnoDB for every table of ours",
			risk: "without transactions a batch is written in part, and the cap's guard counts what is not there",
			set:  "ALTER TABLE … ENGINE = InnoDB", applies: ofServer, judge: judgeEngine,
		},
		{
			name: "database_check", want: "a server that holds CHECK constraints (MySQL 8.0.16, MariaDB)",
			risk: "the second line behind the cap's guard is missing; the guard itself needs none",
			set:  "a newer server", applies: ofServer, judge: judgeCheck,
		},
		{
			name: "database_packet", want: fmt.Sprintf("max_allowed_packet %d or more", leastPacket),
			risk: "a large batch is refused again and again and holds up its partition",
			set:  setMySQL + "max_allowed_packet = 64M", applies: ofServer, judge: judgePacket,
		},
		{
			name: "database_connections", want: "max_connections above three times database.max_conns, and more for each further process",
			risk: "processes are refused a connection: consumers wait, lists are answered 503",
			set:  setMySQL + "max_connections; or a smaller database.max_conns", applies: ofServer, judge: judgeConnections,
		},
		{
			name: "database_read_only", want: "a server that takes writes",
			risk: "nothing becomes a row while it lasts; consumers wait",
			set:  "database.dsn: the primary; or read_only = 0", applies: ofServer, judge: judgeReadOnly,
		},
	}
}

func judgeSchema(f Facts) verdict {
	d := f.Database
	switch d.SchemaHave {
	case d.SchemaNeed:
		return fine("version %d", d.SchemaHave)
	case 0:
		return found(Breaks, "none; this build needs version %d", d.SchemaNeed)
	default:
		return found(Breaks, "version %d; this build needs %d", d.SchemaHave, d.SchemaNeed)
	}
}

func judgeSession(f Facts) verdict {
	s := f.Database.Session
	if len(s) == 0 {
		return untold("the session's settings were not told")
	}
	var wrong []string
	expect := func(name string, good func(string) bool) {
		if value, told := s[name]; !told || !good(strings.ToUpper(value)) {
			wrong = append(wrong, name+" "+orUntold(value, told))
		}
	}
	if f.Database.Dialect == "sqlite" {
		expect("journal_mode", func(v string) bool { return v == "WAL" })
		expect("synchronous", func(v string) bool { return v == "2" || v == "3" })
		expect("foreign_keys", func(v string) bool { return v == "1" })
	} else {
		expect("transaction_isolation", func(v string) bool { return v == "READ-COMMITTED" })
		expect("sql_mode", func(v string) bool { return strings.Contains(v, "STRICT_TRANS_TABLES") })
		expect("time_zone", func(v string) bool { return v == "+00:00" || v == "UTC" })
		expect("autocommit", func(v string) bool { return v == "1" || v == "ON" })
		expect("wait_timeout", func(v string) bool { n, err := strconv.Atoi(v); return err == nil && n <= 5 })
	}
	if len(wrong) > 0 {
		return found(Breaks, "%s", strings.Join(wrong, ", "))
	}
	return fine("in force")
}

func orUntold(value string, told bool) string {
	if !told {
		return "not told"
	}
	return value
}

// isOn reads what servers write for a switch.
func isOn(value string) bool {
	switch strings.ToUpper(value) {
	case "", "0", "OFF", "NO", "FALSE":
		return false
	default:
		return true
	}
}

func judgeDurability(f Facts) verdict {
	g := f.Database.Global
	flush, told := g["innodb_flush_log_at_trx_commit"]
	if !told {
		return untold("innodb_flush_log_at_trx_commit was not told")
	}
	if flush != "1" {
		return found(Breaks, "innodb_flush_log_at_trx_commit %s", flush)
	}
	if isOn(g["log_bin"]) {
		if sync := g["sync_binlog"]; sync != "1" {
			return found(Breaks, "sync_binlog %s", orUntold(sync, sync != ""))
		}
		return fine("1; sync_binlog 1")
	}
	return fine("1; no binary log")
}

func judgeDoublewrite(f Facts) verdict {
	switch on, told := f.Database.Global["innodb_doublewrite"]; {
	case !told:
		return untold("innodb_doublewrite was not told")
	case isOn(on):
		return fine("%s", on)
	default:
		return found(Risky, "%s", on)
	}
}

func judgeColumns(f Facts) verdict {
	if len(f.Database.Columns) == 0 {
		return untold("information_schema.columns tells none of our tables")
	}
	var wrong []string
	for _, c := range f.Database.Columns {
		if !strings.HasSuffix(c.Collation, "_bin") {
			wrong = append(wrong, c.Table+"."+c.Name+" "+c.Collation)
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return found(Breaks, "%s", strings.Join(wrong, ", "))
	}
	return fine("all %d", len(f.Database.Columns))
}

func judgeEngine(f Facts) verdict {
	var wrong []string
	for table, engine := range f.Database.Engines {
		if !strings.EqualFold(engine, "InnoDB") {
			wrong = append(wrong, table+" "+engine)
		}
	}
	sort.Strings(wrong)
	switch {
	case len(f.Database.Engines) == 0:
		return untold("information_schema.tables tells none of our tables")
	case len(wrong) > 0:
		return found(Breaks, "%s", strings.Join(wrong, ", "))
	default:
		return fine("InnoDB")
	}
}

var threeNumbers = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)`)

func judgeCheck(f Facts) verdict {
	d := f.Database
	if d.Dialect == "mariadb" {
		return fine("MariaDB %s", d.Version)
	}
	parts := threeNumbers.FindStringSubmatch(d.Version)
	if parts == nil {
		return untold("%q is no version of three numbers", d.Version)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(parts[i+1]) // digits; too many of them are a server of another world
	}
	if n[0] > 8 || n[0] == 8 && (n[1] > 0 || n[2] >= 16) {
		return fine("MySQL %s", d.Version)
	}
	return found(Advice, "MySQL %s", d.Version)
}

func judgePacket(f Facts) verdict {
	n, err := strconv.ParseInt(f.Database.Global["max_allowed_packet"], 10, 64)
	switch {
	case err != nil:
		return untold("max_allowed_packet was not told")
	case n < leastPacket:
		return found(Risky, "%d", n)
	default:
		return fine("%d", n)
	}
}

func judgeConnections(f Facts) verdict {
	n, err := strconv.Atoi(f.Database.Global["max_connections"])
	pool := f.Config.MaxConns
	switch {
	case err != nil:
		return untold("max_connections was not told")
	case n <= 3*pool:
		return found(Risky, "%d, database.max_conns %d for each process", n, pool)
	default:
		return fine("%d, database.max_conns %d for each process", n, pool)
	}
}

func judgeReadOnly(f Facts) verdict {
	g := f.Database.Global
	switch on, told := g["read_only"]; {
	case !told:
		return untold("read_only was not told")
	case isOn(on) || isOn(g["super_read_only"]) || isOn(g["innodb_read_only"]):
		return found(Risky, "read_only %s, super_read_only %s", on, orUntold(g["super_read_only"], g["super_read_only"] != ""))
	default:
		return fine("it takes writes")
	}
}
