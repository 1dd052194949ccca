// Package judge compares what clients were promised with what the servers have, once all has come to rest: its own SQL,
// its own reading of Redis and of the journal.
package judge

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Servers are where the books are.
type Servers struct {
	DB     *sql.DB
	Redis  *redis.Client
	Broker string
	Topic  string
	Group  string
}

// coupon is a row of coupons with its gate.
type coupon struct {
	id, event int64
	tag       string
	total     int64 // -1: unlimited
	issued    int64 // the counter
	limit     int
	rows      map[place]row
	gate      gate
}

type place struct {
	user string
	nth  int
}

type row struct {
	seq      int64
	key      string
	accepted time.Time
}

// gate is what Redis has of a coupon.
type gate struct {
	state     string // st of the gate's hash; "": no gate
	admitted  int64
	returned  int64
	pendingN  int64
	pending   int64
	membersN  int64
	members   []string
	holders   map[place]holder
	brokenOne string // a holder that cannot be read
}

type holder struct {
	seq      int64
	accepted int64 // microseconds
	key      string
}

// record is a record of the journal.
type record struct {
	partition int32
	offset    int64
	coupon    int64
	place     place
	seq       int64
	bad       string // why it cannot be read
}

type position struct {
	partition int32
	offset    int64
}

// books are all three.
type books struct {
	coupons map[int64]*coupon
	records []record
	failed  map[position]string // reason
}

func (s Servers) readCoupons(ctx context.Context) (map[int64]*coupon, error) {
	all := map[int64]*coupon{}
	err := s.each(ctx, `SELECT id, COALESCE(event_id, 0), tag, COALESCE(total_quantity, -1), issued_count, per_user_limit
		FROM coupons`, func(r *sql.Rows) error {
		c := &coupon{rows: map[place]row{}}
		err := r.Scan(&c.id, &c.event, &c.tag, &c.total, &c.issued, &c.limit)
		all[c.id] = c
		return err
	})
	return all, err
}

func (s Servers) readRows(ctx context.Context, all map[int64]*coupon, found func(rule, format string, args ...any)) error {
	return s.each(ctx, `SELECT coupon_id, user_id, nth, seq, COALESCE(idempotency_key, ''), accepted_at FROM issues`,
		func(r *sql.Rows) error {
			var id int64
			var p place
			var got row
			if err := r.Scan(&id, &p.user, &p.nth, &got.seq, &got.key, &got.accepted); err != nil {
				return err
			}
			c := all[id]
			if c == nil {
				found("I4", "a row of coupon %d, which does not exist: user %q", id, p.user)
				return nil
			}
			if _, twice := c.rows[p]; twice {
				found("I2", "coupon %d has two rows of user %q, place %d", id, p.user, p.nth)
			}
			c.rows[p] = got
			return nil
		})
}

func (s Servers) readFailed(ctx context.Context) (map[position]string, error) {
	failed := map[position]string{}
	err := s.each(ctx, `SELECT partition_no, offset_no, reason FROM failed_events WHERE topic = ?`, func(r *sql.Rows) error {
		var p position
		var reason string
		err := r.Scan(&p.partition, &p.offset, &reason)
		failed[p] = reason
		return err
	}, s.Topic)
	return failed, err
}

func (s Servers) each(ctx context.Context, query string, see func(*sql.Rows) error, args ...any) (err error) {
	rows, err := s.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		if err := see(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// readGate reads one coupon's keys, as docs/protocol.md names them.
func (s Servers) readGate(ctx context.Context, c *coupon) (g gate, err error) {
	prefix := "fc:{" + c.tag + "}:"
	id := strconv.FormatInt(c.id, 10)
	pipe := s.Redis.Pipeline()
	gateHash, couponHash := pipe.HGetAll(ctx, prefix+"gate"), pipe.HGetAll(ctx, prefix+"coupon:"+id)
	holders, pending := pipe.HGetAll(ctx, prefix+"holders:"+id), pipe.ZCard(ctx, prefix+"pending:"+id)
	members := pipe.SMembers(ctx, prefix+"members")
	if _, err = pipe.Exec(ctx); err != nil {
		return g, fmt.Errorf("gate of coupon %d: %w", c.id, err)
	}
	number := func(text string) int64 {
		n, parseErr := strconv.ParseInt(text, 10, 64)
		if parseErr != nil {
			return -1
		}
		return n
	}
	g.state = gateHash.Val()["st"]
	g.admitted, g.returned = number(couponHash.Val()["admitted"]), number(couponHash.Val()["returned"])
	g.pendingN, g.pending, g.members = number(couponHash.Val()["pending_n"]), pending.Val(), members.Val()
	g.membersN = number(gateHash.Val()["members_n"])
	g.holders = make(map[place]holder, len(holders.Val()))
	for field, value := range holders.Val() {
		user, nth, many := strings.Cut(field, "\x1f")
		p := place{user, 1}
		if many {
			p.nth = int(number(nth))
		}
		parts := strings.SplitN(value, ":", 3)
		if len(parts) < 2 || number(parts[0]) < 1 {
			g.brokenOne = field + "=" + value
			continue
		}
		h := holder{seq: number(parts[0]), accepted: number(parts[1])}
		if len(parts) == 3 {
			h.key = parts[2]
		}
		g.holders[p] = h
	}
	return g, nil
}

// readJournal reads all that the topic has now.
func (s Servers) readJournal(ctx context.Context) ([]record, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Broker), kgo.ConsumeTopics(s.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, s.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var found []record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read the journal: %w", ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			found = append(found, decode(r))
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return found, nil
}

func decode(r *kgo.Record) record {
	var v struct {
		V        int    `json:"v"`
		CouponID int64  `json:"coupon_id"`
		UserID   string `json:"user_id"`
		Nth      int    `json:"nth"`
		Seq      int64  `json:"seq"`
	}
	got := record{partition: r.Partition, offset: r.Offset}
	if err := json.Unmarshal(r.Value, &v); err != nil || v.V != 1 || v.UserID != string(r.Key) {
		got.bad = fmt.Sprintf("%.200s (%v)", r.Value, err)
	}
	got.coupon, got.place, got.seq = v.CouponID, place{v.UserID, v.Nth}, v.Seq
	return got
}

// lag is how many records the consumers have not committed.
func (s Servers) lag(ctx context.Context) (int64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Broker))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, s.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, err
	}
	committed, err := admin.FetchOffsets(ctx, s.Group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return 0, err
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		at := int64(0)
		if c, ok := committed.Lookup(s.Topic, o.Partition); ok {
			at = max(c.At, 0)
		}
		left += max(o.Offset-at, 0)
	})
	return left, nil
}
