package redisgate

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// The header of each script is its contract. What Go passes is held against it: how many keys and arguments, what each
// key is, and which form each argument has.

// line is one KEYS or ARGV line of a header: KEYS[1] gate, KEYS[5+4i] coupon, KEYS[6+] sibling, KEYS[last] sweeper.
type line struct {
	from, step int // step 0: this one only; from -1: the last one
	name, kind string
}

var headerLine = regexp.MustCompile(`^-- (KEYS|ARGV)\[(last|\d+)(\+(\d*)i?)?\]\s+(\w+)(?: (\w+))?`)

// header reads the contract of a script.
func header(t *testing.T, name string) (keys, args []line) {
	t.Helper()
	for text := range strings.Lines(luaSource(name)) {
		if !strings.HasPrefix(text, "--") {
			break
		}
		m := headerLine.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		l := line{from: -1, name: m[5], kind: m[6]}
		if m[2] != "last" {
			l.from, _ = strconv.Atoi(m[2])
		}
		if m[3] != "" {
			l.step = 1
			if m[4] != "" {
				l.step, _ = strconv.Atoi(m[4])
			}
		}
		if m[1] == "KEYS" {
			keys = append(keys, l)
		} else {
			args = append(args, l)
		}
	}
	return keys, args
}

// at is the line that describes the i-th of n, counted from 1.
func at(lines []line, i, n int) (line, bool) {
	if i == n {
		if k := slices.IndexFunc(lines, func(l line) bool { return l.from == -1 }); k >= 0 {
			return lines[k], true
		}
	}
	for _, l := range slices.Backward(lines) {
		if l.from > 0 && (i == l.from || (l.step > 0 && i > l.from && (i-l.from)%l.step == 0)) {
			return l, true
		}
	}
	return line{}, false
}

var keyForms = map[string]string{
	"gate": `gate`, "coupon": `coupon:\d+`, "holders": `holders:\d+`, "pending": `pending:\d+`, "members": `members`,
	"sibling": `coupon:\d+`, "sweeper": `sweeper:\d+`, "load_holders": `load:\d+:[\w-]+:holders:\d+`,
	"load_members": `load:\d+:[\w-]+:members`, "load_calls": `load:\d+:[\w-]+:calls`,
}

var argForms = map[string]string{
	"int": `\d*`, "us": `\d{1,16}`, "ms": `\d+`, "flag": `[01]`, "cap": `\d*`, "text": `.+`,
}

// all lists the operations.
func all(s scripts) []script {
	return []script{
		s.admit, s.confirm, s.sweep, s.mark, s.loadRows, s.loadTail, s.drop, s.open, s.join, s.change, s.view, s.holder, s.sound,
		s.names,
	}
}

// recorder is a client hook that keeps every script call and answers nothing.
type recorder struct {
	mu    sync.Mutex
	calls [][]string
}

func (*recorder) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
}
func (*recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (r *recorder) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, cmd := range cmds {
			var call []string
			for _, arg := range cmd.Args() {
				call = append(call, fmt.Sprint(arg))
			}
			r.calls = append(r.calls, call)
		}
		return nil
	}
}

func TestScriptsGetWhatTheirHeadersSay(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	rec := &recorder{}
	client.AddHook(rec)
	g := New(client)
	callEverything(t.Context(), g)

	names := make(map[string]string)
	for _, s := range all(g.scripts) {
		names[s.sha] = s.name
	}
	seen := make(map[string]int)
	for _, call := range rec.calls {
		require.Equal(t, "evalsha", call[0])
		name := names[call[1]]
		require.NotEmpty(t, name)
		seen[name]++
		count, err := strconv.Atoi(call[2])
		require.NoError(t, err)
		checkCall(t, name, call[3:3+count], call[3+count:])
	}
	for _, name := range names {
		require.Positive(t, seen[name], "%s was never called", name)
	}
	entries, err := luaFiles.ReadDir("lua")
	require.NoError(t, err)
	require.Len(t, names, len(entries)-1, "a Lua file that no operation uses")
}

func checkCall(t *testing.T, name string, keys, args []string) {
	t.Helper()
	keyLines, argLines := header(t, name)
	for i, key := range keys {
		l, ok := at(keyLines, i+1, len(keys))
		require.True(t, ok, "%s: KEYS[%d] %s is not in the header", name, i+1, key)
		require.Regexp(t, `^fc:\{[ce]\d+\}:`+keyForms[l.name]+`$`, key, "%s: KEYS[%d] %s", name, i+1, l.name)
	}
	for i, arg := range args {
		l, ok := at(argLines, i+1, len(args))
		require.True(t, ok, "%s: ARGV[%d] %s is not in the header", name, i+1, arg)
		require.Contains(t, argForms, l.kind, "%s: ARGV[%d] %s", name, i+1, l.name)
		require.Regexp(t, `^(?s:`+argForms[l.kind]+`)$`, arg, "%s: ARGV[%d] %s", name, i+1, l.name)
	}
	complete(t, name+" KEYS", keyLines, len(keys), func(l line) bool {
		return l.name == "members" || l.name == "load_members" || l.step > 0
	})
	complete(t, name+" ARGV", argLines, len(args), func(l line) bool { return l.step > 0 })
}

// complete says that nothing of a header is left out, and that groups are whole.
func complete(t *testing.T, what string, lines []line, n int, optional func(line) bool) {
	t.Helper()
	step, first := 0, 0
	for _, l := range lines {
		if l.from > n && !optional(l) {
			t.Errorf("%s: %s is missing", what, l.name)
		}
		if l.step > step {
			step, first = l.step, l.from
		}
	}
	if step > 1 && n >= first {
		require.Zero(t, (n-first+1)%step, "%s: a group is torn", what)
	}
}

// callEverything calls every operation for a lone coupon, one with a limit above 1, a member and one for use.
func callEverything(ctx context.Context, g *Gate) {
	terms := coupon.Terms{State: coupon.StateOpen, OpensAt: time.UnixMicro(1), ClosesAt: time.Now()}
	capped := terms
	total := int64(7)
	capped.Total = &total
	for _, c := range []coupon.OpeningCoupon{
		{Ref: coupon.Ref{Tag: "c5", CouponID: 5, PerUserLimit: 1}, Terms: terms},
		{Ref: coupon.Ref{Tag: "c5", CouponID: 5, PerUserLimit: 3}, Terms: capped},
		{Ref: coupon.Ref{Tag: "e9", CouponID: 5, EventID: 9, PerUserLimit: 1, Member: true, Siblings: []int64{5, 6}}, Terms: capped},
		{Ref: coupon.Ref{Tag: "e9", CouponID: 5, EventID: 9, PerUserLimit: 2, Siblings: []int64{5, 6, 7}}, Terms: terms},
	} {
		m := coupon.Mark{Tag: c.Tag, Epoch: 3, Token: "1795000000000000-3"}
		place := coupon.Place{UserID: "u", Nth: 1, Seq: 4, Epoch: 3, AcceptedAt: time.Now(), Key: "k"}
		other := c
		other.CouponID = 6
		_ = g.Admit(ctx, []admission.Call{{Ref: c.Ref, Asks: []admission.Ask{{UserID: "u", Key: "k"}, {UserID: "v", Key: "l"}}}})
		_ = g.Confirm(ctx, []admission.ConfirmCall{{Ref: c.Ref, Places: []coupon.Place{place, place}}})
		_, _ = g.Sweepable(ctx, c.Ref, admission.Sweep{Age: time.Second, Limit: 5, Owner: "o", Lease: time.Second})
		_ = g.Mark(ctx, []coupon.Mark{m})
		_ = g.LoadRows(ctx, m, c.Ref, []coupon.Place{place, place})
		_, _ = g.LoadTail(ctx, m, c.Ref, []coupon.Place{place, place})
		_ = g.Drop(ctx, m, []int64{c.CouponID, other.CouponID})
		_ = g.Open(ctx, []coupon.Opening{{Mark: m, Event: c.EventID != 0, Coupons: []coupon.OpeningCoupon{c, other}}})
		_ = g.Join(ctx, c, 3)
		_, _ = g.Change(ctx, coupon.TermsChange{Ref: c.Ref, To: c.Terms, Revision: 4, Widen: true, Wait: time.Second, Epoch: 3})
		_ = g.Views(ctx, []coupon.Ref{c.Ref})
		_ = g.Sound(ctx, []coupon.Ref{c.Ref})
		_, _, _ = g.Holder(ctx, c.Ref, "u", 0)
		_ = g.EachName(ctx, c.Ref, func(string) {})
	}
}

func TestHeadersTellEverything(t *testing.T) {
	t.Parallel()
	for _, s := range all(loadScripts(luaSource)) {
		own := luaSource(s.name)
		require.True(t, strings.HasPrefix(own, "-- "+s.name+": "), s.name)
		for _, section := range []string{"OUTPUT", "ATOMICITY", "REPLAY", "COST", "CRASH"} {
			require.Regexp(t, `(?m)^-- `+section+` `, own, s.name)
		}
		require.NotContains(t, own, "fc:", "%s: keys come from KEYS, never from text", s.name)
	}
}

// Every key of a call lies in one Cluster slot, so the braces must hold the tag and nothing else.
func TestKeysOfATagShareItsSlot(t *testing.T) {
	t.Parallel()
	m := coupon.Mark{Tag: "e9", Epoch: 3, Token: "1-3"}
	k := keysOf("e9")
	for _, key := range []string{
		k.gate(), k.members(), k.coupon(1), k.holders(1), k.pending(1), k.sweeper(1), k.loadHolders(m, 1), k.loadMembers(m),
		k.loadCalls(m),
	} {
		require.True(t, strings.HasPrefix(key, "fc:{e9}:"), key)
		require.Equal(t, 1, strings.Count(key, "{"))
	}
	require.Equal(t, "fc:{e9}:load:3:1-3:holders:1", k.loadHolders(m, 1))
}
