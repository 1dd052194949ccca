// Package strategies is the laboratory: the ways that everybody tries first to issue a limited number of coupons, each in
// one small file behind one interface, so that they can be measured side by side under the same crowd, behind the same HTTP
// front and on the same database.
//
// Most of them are wrong, and that is the point: docs/strategies.md says what each teaches. They are reachable from the
// bench module only; no program of the product imports them.
package strategies

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Answer is what a user is told.
type Answer int

// The answers. An error beside them is an unknown outcome.
const (
	Got     Answer = iota + 1 // a coupon, new or the one the user had
	SoldOut                   // no coupon
)

// Strategy decides claims on one coupon. Claim is called by many goroutines, in one process or in several.
type Strategy interface {
	Claim(ctx context.Context, user string) (Answer, error)
}

// Bench is what a strategy works with: the same for all of them.
type Bench struct {
	DB     *sql.DB
	Redis  *redis.Client
	Coupon int64
	Cap    int64
	// Log puts a record on the topic and returns when all in-sync replicas have it. A consumer, which nobody kills, makes
	// rows of them.
	Log func(ctx context.Context, user string) error
}

// Way is one entry of the laboratory.
type Way struct {
	Name      string
	What      string // in one line
	Processes int    // that serve it side by side
	New       func(b Bench) Strategy
}

// Ways are all but firstcome itself, in the order in which people come to them.
func Ways() []Way {
	return []Way{
		{"no control", "read, compare, insert", 1, func(b Bench) Strategy { return noControl{b} }},
		{"mutex", "the same under a mutex of the process", 1, func(b Bench) Strategy { return &mutex{noControl: noControl{b}} }},
		{"mutex, two processes", "the same, and a second instance for the load", 2, func(b Bench) Strategy { return &mutex{noControl: noControl{b}} }},
		{"Redis lock", "the same under a lock in Redis, with wait and lease", 2, func(b Bench) Strategy { return newRedisLock(b, 3*time.Second) }},
		{"Redis lock, short lease", "a lease shorter than the work sometimes takes", 2, func(b Bench) Strategy { return newRedisLock(b, 3*time.Millisecond) }},
		{"row lock", "SELECT … FOR UPDATE", 2, func(b Bench) Strategy { return rowLock{b} }},
		{"optimistic", "update where the version is still the one that was read, else again", 2, func(b Bench) Strategy { return optimistic{b} }},
		{"SADD, INCR, Kafka", "two commands in Redis, then a record", 2, func(b Bench) Strategy { return saddIncr{b} }},
		{"ticket chunks", "numbers taken from the database a hundred at a time", 2, func(b Bench) Strategy { return &tickets{Bench: b} }},
		{"Lua and produce", "one script and one record a request", 2, func(b Bench) Strategy { return luaProduce{b, redis.NewScript(admitOne)} }},
	}
}

// errGaveUp is an unknown outcome: the user may ask again.
var errGaveUp = errors.New("too much contention")

// Schema are the laboratory's tables. lab_issues has no unique key on purpose: it would hide what goes wrong.
const Schema = `CREATE TABLE IF NOT EXISTS lab_coupons (
  id BIGINT PRIMARY KEY, total BIGINT NOT NULL, issued BIGINT NOT NULL DEFAULT 0, version BIGINT NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS lab_issues (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, coupon_id BIGINT NOT NULL, user_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  KEY lab_issues_user (coupon_id, user_id))`

// querier is a connection or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// has says whether the user has a row.
func (b Bench) has(ctx context.Context, q querier, user string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM lab_issues WHERE coupon_id = ? AND user_id = ?", b.Coupon, user).Scan(&n)
	return n > 0, err
}

// Insert writes the user's row.
func (b Bench) Insert(ctx context.Context, q querier, user string) error {
	_, err := q.ExecContext(ctx, "INSERT INTO lab_issues (coupon_id, user_id) VALUES (?, ?)", b.Coupon, user)
	return err
}

// inTx runs work in a transaction.
func (b Bench) inTx(ctx context.Context, work func(tx *sql.Tx) (Answer, error)) (Answer, error) {
	tx, err := b.DB.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	answer, err := work(tx)
	if err != nil {
		return 0, errors.Join(err, tx.Rollback())
	}
	return answer, tx.Commit()
}
