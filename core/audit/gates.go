package audit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed look.lua
var lookLua string

// gates are what Redis holds, read key by key.
type gates struct {
	client redis.UniversalClient
	look   *redis.Script
}

func openGates(ctx context.Context, cfg Redis) (*gates, error) {
	const wait = 5 * time.Second
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: cfg.Addrs, DB: cfg.DB, Username: cfg.Username, Password: cfg.Password, MasterName: cfg.MasterName,
		IsClusterMode: cfg.Mode == "cluster",
		DialTimeout:   wait, ReadTimeout: wait, WriteTimeout: wait, ContextTimeoutEnabled: true,
	})
	g := &gates{client: client, look: redis.NewScript(lookLua)}
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(unopened(err, "Redis", strings.Join(cfg.Addrs, ","), "redis.addrs"), client.Close())
	}
	return g, nil
}

func (g *gates) close() error { return g.client.Close() }

func keyOf(tag, what string) string { return "fc:{" + tag + "}:" + what }

func couponKey(c *couponInfo, what string) string {
	return keyOf(c.tag.name, what+":"+strconv.FormatInt(c.id, 10))
}

// view is what one look saw.
type view struct {
	now     int64
	server  string
	gate    map[string]string
	coupon  map[string]string
	holders int64
	pending int64
	members int64
}

func (g *gates) view(ctx context.Context, c *couponInfo) (view, error) {
	keys := []string{keyOf(c.tag.name, "gate"), couponKey(c, "coupon"), couponKey(c, "holders"), couponKey(c, "pending"), keyOf(c.tag.name, "members")}
	answer, err := g.look.Run(ctx, g.client, keys).Slice()
	if err != nil {
		return view{}, err
	}
	v := view{}
	if len(answer) != 7 {
		return v, fmt.Errorf("the look at coupon %d brought %d values", c.id, len(answer))
	}
	now, _ := answer[0].(string)
	if v.now, err = strconv.ParseInt(now, 10, 64); err != nil {
		return v, fmt.Errorf("the clock of Redis: %w", err)
	}
	v.server, _ = answer[1].(string)
	v.gate, v.coupon = fields(answer[2]), fields(answer[3])
	v.holders, _ = answer[4].(int64)
	v.pending, _ = answer[5].(int64)
	v.members, _ = answer[6].(int64)
	return v, nil
}

func fields(of any) map[string]string {
	list, _ := of.([]any)
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		value, _ := list[i+1].(string)
		m[name] = value
	}
	return m
}

// number is a field as a whole number; -1: there is none.
func number(m map[string]string, name string) int64 {
	n, err := strconv.ParseInt(m[name], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// wrong is why a gate decides nothing; the zero value: it is sound.
type wrong struct {
	kind     Type
	evidence string
}

// unsound applies the rule of soundness to one look. It does not count the coupons of an event.
func (v view) unsound(t *tagInfo) wrong {
	g, c := v.gate, v.coupon
	epoch := number(g, "epoch")
	switch {
	case len(g) == 0:
		return wrong{StaleEpoch, "Redis has no gate of this tag"}
	case g["st"] == "mark":
		return wrong{StaleEpoch, fmt.Sprintf("the gate is marked by epoch %d since %s and was not opened", epoch, markTime(g["token"]))}
	case g["st"] != "open" || epoch < 1:
		return wrong{GateDrift, fmt.Sprintf("the gate says st %q and epoch %q", g["st"], g["epoch"])}
	case g["server"] != v.server:
		return wrong{StaleEpoch, fmt.Sprintf("the gate was opened on server %s, and this is %s", g["server"], v.server)}
	case epoch < t.epoch:
		return wrong{StaleEpoch, fmt.Sprintf("the gate is of epoch %d, the database says %d", epoch, t.epoch)}
	case len(c) == 0:
		return wrong{GateDrift, "the gate has no hash of the coupon"}
	}
	for _, name := range []string{"admitted", "returned", "pending_n", "last_seq", "revision", "per_user_limit"} {
		if number(c, name) < 0 {
			return wrong{GateDrift, fmt.Sprintf("the coupon's hash says %s %q", name, c[name])}
		}
	}
	switch {
	case v.holders != number(c, "admitted")+number(c, "returned"):
		return wrong{GateDrift, fmt.Sprintf("admitted %s + returned %s, and %d holders", c["admitted"], c["returned"], v.holders)}
	case v.pending != number(c, "pending_n"):
		return wrong{GateDrift, fmt.Sprintf("pending_n %s, and %d pending entries", c["pending_n"], v.pending)}
	case t.event && v.members != number(g, "members_n"):
		return wrong{GateDrift, fmt.Sprintf("members_n %s, and %d members", g["members_n"], v.members)}
	}
	return wrong{}
}

func markTime(token string) string {
	us, err := strconv.ParseInt(strings.SplitN(token, "-", 2)[0], 10, 64)
	if err != nil {
		return "an unknown time"
	}
	return text(us)
}

// sameReign says whether nothing was loaded, lost or rebuilt between two looks at a gate.
func (v view) sameReign(before view) bool {
	for _, name := range []string{"st", "epoch", "token", "server"} {
		if v.gate[name] != before.gate[name] {
			return false
		}
	}
	return v.server == before.server
}

// scanHash tells every field of a hash that is there all the time; one that comes or goes meanwhile may be told or not,
// and any may be told twice.
func (g *gates) scanHash(ctx context.Context, key string, told func(field, value string) error) error {
	for cursor := uint64(0); ; {
		page, next, err := g.client.HScan(ctx, key, cursor, "", scanPage).Result()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(page); i += 2 {
			if err := told(page[i], page[i+1]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// scanSet is scanHash for the members of a set.
func (g *gates) scanSet(ctx context.Context, key string, told func(member string) error) error {
	for cursor := uint64(0); ; {
		page, next, err := g.client.SScan(ctx, key, cursor, "", scanPage).Result()
		if err != nil {
			return err
		}
		for _, member := range page {
			if err := told(member); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// pendingOlder lists entries of at most that time, oldest first.
func (g *gates) pendingOlder(ctx context.Context, c *couponInfo, until int64, limit int) ([]redis.Z, error) {
	return g.client.ZRangeByScoreWithScores(ctx, couponKey(c, "pending"), &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(until, 10), Count: int64(limit),
	}).Result()
}

func (g *gates) scanPending(ctx context.Context, c *couponInfo, told func(field string) error) error {
	for cursor := uint64(0); ; {
		page, next, err := g.client.ZScan(ctx, couponKey(c, "pending"), cursor, "", scanPage).Result()
		if err != nil {
			return err
		}
		for i := 0; i < len(page); i += 2 {
			if err := told(page[i]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

const maxField = 200 // bytes of a holder's field or value that are looked at; a good one has at most 104

func cut(s string) string { return s[:min(len(s), maxField)] }

// userOf splits a holder's field: the user, behind a unit separator the nth where the limit is above 1.
func userOf(field string, limit int) (user string, nth int) {
	if limit == 1 {
		return cut(field), 1
	}
	user, number, _ := strings.Cut(field, "\x1f")
	nth, err := strconv.Atoi(number)
	if err != nil {
		return cut(field), 0
	}
	return cut(user), nth
}

// holderOf reads a holder's value: [x]seq:us[:key].
func holderOf(c *couponInfo, field, value string) (entry, bool) {
	e := entry{kind: kindHolder, coupon: c.id}
	e.user, e.nth = userOf(field, c.limit)
	rest, gone := strings.CutPrefix(cut(value), "x")
	if gone {
		e.flags |= flagGone
	}
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 2 {
		return e, false
	}
	var errSeq, errAt error
	e.seq, errSeq = strconv.ParseInt(parts[0], 10, 64)
	e.at, errAt = strconv.ParseInt(parts[1], 10, 64)
	if len(parts) == 3 {
		e.key = parts[2]
	}
	return e, errSeq == nil && errAt == nil
}
