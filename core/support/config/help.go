package config

import (
	"fmt"
	"slices"
	"strings"
)

// Help lists the keys that a role reads with their defaults and what is allowed, for its --help.
func Help(role Role) string {
	c := Default(role)
	var b strings.Builder
	b.WriteString("Settings (key, default, allowed); FIRSTCOME_HTTP_ADDR sets http.addr, and so on:\n")
	for _, l := range leaves(&c) {
		if section, _, _ := strings.Cut(l.key, "."); !slices.Contains(sectionsOf(role), section) {
			continue
		}
		if role == Standalone && slices.Contains(OfEmbeddedServers(), l.key) {
			continue
		}
		fmt.Fprintf(&b, "  %-26s %-22s %s\n", l.key, defaultText(l), allowedText(l))
	}
	return b.String()
}

func sectionsOf(role Role) []string {
	switch role {
	case API:
		return []string{"http", "ops", "redis", "kafka", "database", "auth", "admission", "sweeper", "rebuild", "checks", "log"}
	case Consumer:
		return []string{"ops", "kafka", "database", "consumer", "checks", "log"}
	case Batch:
		return []string{"ops", "redis", "kafka", "database", "admission", "rebuild", "batch", "checks", "log"}
	default:
		return []string{"http", "ops", "kafka", "auth", "admission", "sweeper", "rebuild", "consumer", "batch", "standalone", "checks", "log"}
	}
}

// OfEmbeddedServers are the keys of the servers that standalone brings itself; it leaves out what is given for them.
func OfEmbeddedServers() []string {
	return []string{
		"redis.mode", "redis.addrs", "redis.db", "redis.master_name", "redis.username", "redis.password",
		"redis.replica_max_lag", "kafka.brokers", "kafka.replication", "database.dsn",
	}
}

func defaultText(l leaf) string {
	if list, ok := l.value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	if text := fmt.Sprint(l.value.Interface()); text != "" {
		return text
	}
	return "-"
}

func allowedText(l leaf) string {
	if oneof := l.field.Tag.Get("oneof"); oneof != "" {
		return strings.ReplaceAll(oneof, ",", ", ")
	}
	if _, _, ok := rangeOf(l); ok {
		return allowedRange(l)
	}
	switch l.field.Tag.Get("form") {
	case "addr":
		return "host:port"
	case "addrs":
		return "host:port,…"
	case "url":
		return "https://…"
	case "checks":
		return "names that batch doctor lists"
	case "topic":
		return "a Kafka name"
	case "dsn":
		return "user:password@tcp(host:3306)/name, sqlite:PATH"
	case "secret":
		return fmt.Sprintf("at least %d bytes", MinSecret)
	default:
		return ""
	}
}
