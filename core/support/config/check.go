package config

import (
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firstcome/firstcome/core/support/doctor"
)

// topicForm is what Kafka allows for topics; groups are held to the same.
var topicForm = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// checkLeaf holds one value to its tags; usual is the key's default, which shows the form of an address.
func checkLeaf(l leaf, usual string) error {
	if oneof := l.field.Tag.Get("oneof"); oneof != "" {
		if allowed := strings.Split(oneof, ","); !slices.Contains(allowed, l.value.String()) {
			return fmt.Errorf("%q is not allowed; allowed: %s", shorten(l.value.String()), strings.Join(allowed, ", "))
		}
	}
	if low, high, ok := rangeOf(l); ok {
		if n := numberOf(l.value); n < low || n > high {
			return fmt.Errorf("%v is out of range; allowed: %s", l.value.Interface(), allowedRange(l))
		}
	}
	return checkForm(l, usual)
}

func checkForm(l leaf, usual string) error {
	switch l.field.Tag.Get("form") {
	case "addr":
		return checkAddr(l.value.String(), usual)
	case "addrs":
		list, _ := l.value.Interface().([]string)
		for _, addr := range list {
			if err := checkAddr(addr, usual); err != nil {
				return err
			}
		}
	case "checks":
		list, _ := l.value.Interface().([]string)
		for _, name := range list {
			if !slices.Contains(doctor.Names(), name) {
				return fmt.Errorf("%q is no check%s; allowed: %s", shorten(name), didYouMean(name, doctor.Names()),
					strings.Join(doctor.Names(), ", "))
			}
		}
	case "topic":
		if !topicForm.MatchString(l.value.String()) {
			return fmt.Errorf("%q is no Kafka name; allowed: 1 to 249 characters of [a-zA-Z0-9._-]", shorten(l.value.String()))
		}
	case "dsn":
		return checkDSN(l.value.String())
	case "url":
		u, err := url.Parse(l.value.String())
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
			return fmt.Errorf("is no address of keys; allowed: https://… or http://… without a password in it")
		}
	}
	return nil
}

func checkAddr(addr, usual string) error {
	_, port, err := net.SplitHostPort(addr)
	if n, errPort := strconv.Atoi(port); err != nil || errPort != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q is no address; allowed: host:port, such as %s", shorten(addr), usual)
	}
	return nil
}

// checkDSN looks only whether a database is named at all, and never says what stands there: it holds the password. The
// rest is the ledger's to read.
func checkDSN(dsn string) error {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); dsn == "" || ok && path != "" {
		return nil // a missing one is told with what needs it
	}
	name, _, _ := strings.Cut(dsn[strings.LastIndexByte(dsn, '/')+1:], "?")
	if strings.Contains(dsn, "://") || !strings.Contains(dsn, "/") || name == "" {
		return fmt.Errorf("names no database; allowed: user:password@tcp(host:3306)/name, or sqlite:PATH")
	}
	return nil
}

// rangeOf reads the range tag; durations count in nanoseconds.
func rangeOf(l leaf) (low, high float64, ok bool) {
	from, to, ok := strings.Cut(l.field.Tag.Get("range"), "..")
	if !ok {
		return 0, 0, false
	}
	return bound(l, from), bound(l, to), true
}

func bound(l leaf, text string) float64 {
	if l.value.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("config: range of " + l.key + ": " + err.Error()) // the tags are ours; a test reads them all
		}
		return float64(d)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("config: range of " + l.key + ": " + err.Error())
	}
	return f
}

func numberOf(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	return float64(v.Int())
}

func allowedRange(l leaf) string {
	from, to, ok := strings.Cut(l.field.Tag.Get("range"), "..")
	if !ok {
		return "any"
	}
	return from + " to " + to
}

// checkRelations holds values to each other and to what the role needs.
func checkRelations(role Role, c Config, problems *Error) {
	if role != Standalone && c.Database.DSN == "" {
		problems.add("database.dsn", "is missing; allowed: user:password@tcp(host:3306)/name, or sqlite:PATH (FIRSTCOME_DATABASE_DSN)")
	}
	if role != Standalone && role != Consumer {
		checkRedis(c.Redis, problems)
	}
	if role == API || role == Standalone {
		checkAuth(role, c.Auth, problems)
		checkAPI(c, problems)
	}
	if role == Standalone && c.Standalone.DataDir == "" {
		problems.add("standalone.data_dir", "is empty; allowed: the path of a folder")
	}
}

func checkRedis(r Redis, problems *Error) {
	switch {
	case len(r.Addrs) == 0:
		problems.add("redis.addrs", "is empty; allowed: host:port, several with commas")
	case r.Mode == "single" && len(r.Addrs) != 1:
		problems.add("redis.addrs", "has %d addresses; redis.mode single takes one", len(r.Addrs))
	case r.Mode == "sentinel" && r.MasterName == "":
		problems.add("redis.master_name", "is missing; redis.mode sentinel needs the name that the sentinels watch")
	case r.Mode == "cluster" && r.DB != 0:
		problems.add("redis.db", "%d is not allowed; a cluster has only 0", r.DB)
	}
}

func checkAuth(role Role, a Auth, problems *Error) {
	switch {
	case a.HS256Secret != "" && a.JWKSURL != "":
		problems.add("auth.jwks_url", "is set beside auth.hs256_secret; allowed: one of the two")
	case a.HS256Secret != "" && len(a.HS256Secret) < MinSecret:
		problems.add("auth.hs256_secret", "has %d bytes; allowed: at least %d, such as of `openssl rand -hex 32`",
			len(a.HS256Secret), MinSecret)
	case role == API && a.HS256Secret == "" && a.JWKSURL == "":
		problems.add("auth.hs256_secret", "is missing, and so is auth.jwks_url; the api needs one of the two "+
			"(FIRSTCOME_AUTH_HS256_SECRET: at least %d bytes, such as of `openssl rand -hex 32`)", MinSecret)
	}
}

func checkAPI(c Config, problems *Error) {
	atLeast := func(key string, value time.Duration, why string) {
		if value < c.Admission.AnswerTimeout {
			problems.add(key, "%v is below admission.answer_timeout (%v); %s", value, c.Admission.AnswerTimeout, why)
		}
	}
	atLeast("http.write_timeout", c.HTTP.WriteTimeout, "the connection would be cut before the answer")
	atLeast("http.shutdown_timeout", c.HTTP.ShutdownTimeout, "a stop would leave claims without their answer")
	atLeast("sweeper.age", c.Sweeper.Age, "the sweeper would journal claims that are still being answered")
}
