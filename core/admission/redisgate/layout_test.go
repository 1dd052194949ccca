package redisgate_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/gatetest"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/coupon"
)

// What stands in Redis is read by other versions of this program and by the auditor: names, fields and values are pinned
// here. These tests run on the embedded server and on the real ones that are named.
func onEachServer(t *testing.T, test func(t *testing.T, g gatetest.Gate, client redis.UniversalClient, id int64)) {
	t.Helper()
	run := func(t *testing.T, cfg redisgate.Config) {
		h := harness(t, cfg)
		id := time.Now().UnixNano() >> 8 // nobody else's on a shared server
		t.Cleanup(func() {
			h.Flush(fmt.Sprint("c", id))
			h.Flush(fmt.Sprint("e", id))
		})
		test(t, h.Gate, h.client, id)
	}
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		h := onEmbedded(t)
		h.server.SetTime(time.Time{}) // runs
		run(t, redisgate.Config{Addrs: []string{h.server.Addr()}})
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		run(t, realConfig(t))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		run(t, clusterConfig(t))
	})
}

func openTerms() coupon.Terms {
	return coupon.Terms{State: coupon.StateOpen, OpensAt: time.UnixMicro(1_700_000_000_000_001), ClosesAt: time.UnixMicro(4_000_000_000_000_002)}
}

func TestKeysAndValuesInRedis(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, g gatetest.Gate, client redis.UniversalClient, id int64) {
		ctx := t.Context()
		ref := coupon.Ref{Tag: fmt.Sprint("c", id), CouponID: id, PerUserLimit: 2}
		five := int64(5)
		terms := openTerms()
		terms.Total = &five
		p := fmt.Sprintf("fc:{c%d}:", id)
		m := g.Mark(ctx, []coupon.Mark{{Tag: ref.Tag, Epoch: 7}})[0]
		require.NoError(t, m.Err)
		require.Regexp(t, `^\d{16}-7$`, m.Token)
		gate := client.HGetAll(ctx, p+"gate").Val()
		server := gate["server"]
		require.Regexp(t, `^[0-9a-f]{40}:[0-9a-f]{40}$`, server)
		require.Equal(t, map[string]string{"st": "mark", "epoch": "7", "server": server, "token": m.Token, "generation": "0"}, gate)

		at := time.UnixMicro(1_795_000_000_123_456)
		rows := []coupon.Place{
			{UserID: "u", Nth: 1, Seq: 3, AcceptedAt: at, Key: "k:1"},
			{UserID: "v", Nth: 2, Seq: 1 << 40, AcceptedAt: at, Key: "k", Revoked: true},
		}
		require.NoError(t, g.LoadRows(ctx, m.Mark, ref, rows))
		load := fmt.Sprintf("%sload:7:%s:", p, m.Token)
		requireRunsOut(t, client, fmt.Sprint(load, "holders:", id))
		added, err := g.LoadTail(ctx, m.Mark, ref, []coupon.Place{{UserID: "w", Nth: 1, Seq: 4, AcceptedAt: at, Key: "k"}})
		require.NoError(t, err)
		require.EqualValues(t, 1, added)
		require.Equal(t, []string{p + "gate", load + "calls", load + fmt.Sprint("holders:", id)}, keysOf(t, client, ref.Tag))
		requireRunsOut(t, client, load+"calls", fmt.Sprint(load, "holders:", id))
		open := coupon.Opening{Mark: m.Mark, Coupons: []coupon.OpeningCoupon{
			{Ref: ref, Terms: terms, Revision: 12, Holders: 3, Returned: 1, LastSeq: 1 << 40},
		}}
		require.NoError(t, g.Open(ctx, []coupon.Opening{open})[0])

		require.Equal(t, map[string]string{
			"st": "open", "epoch": "7", "server": server, "token": m.Token, "generation": "1", "members_n": "0", "coupons_n": "1",
		}, client.HGetAll(ctx, p+"gate").Val())
		require.Equal(t, map[string]string{
			"state": "open", "opens_us": "1700000000000001", "closes_us": "4000000000000002", "cap": "5", "revision": "12",
			"per_user_limit": "2", "admitted": "2", "returned": "1", "pending_n": "0", "last_seq": "1099511627776",
		}, client.HGetAll(ctx, fmt.Sprint(p, "coupon:", id)).Val())
		require.Equal(t, map[string]string{
			"u\x1f1": "3:1795000000123456:k:1", "v\x1f2": "x1099511627776:1795000000123456:k", "w\x1f1": "4:1795000000123456:k",
		}, client.HGetAll(ctx, fmt.Sprint(p, "holders:", id)).Val())

		answer := g.Admit(ctx, []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "u", Key: "new"}}}})[0]
		require.NoError(t, answer.Err)
		us := fmt.Sprint(answer.Now.UnixMicro())
		require.Equal(t, "1099511627777:"+us+":new", client.HGet(ctx, fmt.Sprint(p, "holders:", id), "u\x1f2").Val())
		require.Equal(t, []redis.Z{{Score: float64(answer.Now.UnixMicro()), Member: "u\x1f2"}},
			client.ZRangeWithScores(ctx, fmt.Sprint(p, "pending:", id), 0, -1).Val())

		wider := terms
		wider.Total = nil
		_, err = g.Change(ctx, coupon.TermsChange{Ref: ref, To: wider, Revision: 13, Widen: true, Wait: time.Hour, Epoch: 7})
		require.NoError(t, err)
		changed := client.HGetAll(ctx, fmt.Sprint(p, "coupon:", id)).Val()
		require.Regexp(t, `^\d{16}$`, changed["next_at_us"])
		require.Equal(t, []string{"5", "", "open", "1700000000000001", "4000000000000002", "13"}, []string{
			changed["cap"], changed["next_cap"], changed["next_state"], changed["next_opens_us"], changed["next_closes_us"], changed["revision"],
		})
		_, err = g.Change(ctx, coupon.TermsChange{Ref: ref, To: terms, Revision: 14, Wait: time.Hour})
		require.NoError(t, err)
		require.NotContains(t, client.HGetAll(ctx, fmt.Sprint(p, "coupon:", id)).Val(), "next_at_us")

		_, err = g.Sweepable(ctx, ref, admission.Sweep{Limit: 1, Owner: "me", Lease: time.Minute})
		require.NoError(t, err)
		require.Equal(t, "me", client.Get(ctx, fmt.Sprint(p, "sweeper:", id)).Val())
		require.Positive(t, client.PTTL(ctx, fmt.Sprint(p, "sweeper:", id)).Val())
		for _, key := range []string{"gate", fmt.Sprint("coupon:", id), fmt.Sprint("holders:", id), fmt.Sprint("pending:", id)} {
			require.Equal(t, time.Duration(-1), client.PTTL(ctx, p+key).Val(), "%s runs out", key)
		}
		require.Len(t, keysOf(t, client, ref.Tag), 5, "private keys are left")
	})
}

// An open gate without holders has no holders key, and what an older gate left under the names is gone.
func TestNothingIsLeftOfAnOlderGate(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, g gatetest.Gate, client redis.UniversalClient, id int64) {
		ctx := t.Context()
		tag := fmt.Sprint("e", id)
		p := "fc:{" + tag + "}:"
		holders, pending, hash := fmt.Sprint(p, "holders:", id), fmt.Sprint(p, "pending:", id), fmt.Sprint(p, "coupon:", id)
		require.NoError(t, client.HSet(ctx, holders, "ghost", "1:1").Err())
		require.NoError(t, client.ZAdd(ctx, pending, redis.Z{Score: 1, Member: "ghost"}).Err())
		require.NoError(t, client.SAdd(ctx, p+"members", "ghost").Err())
		require.NoError(t, client.HSet(ctx, hash, "next_at_us", "1", "next_cap", "9").Err())
		require.NoError(t, client.HSet(ctx, p+"gate", "st", "open", "epoch", "1", "left", "over").Err())
		ref := coupon.Ref{Tag: tag, CouponID: id, EventID: id, PerUserLimit: 1, Member: true, Siblings: []int64{id}}
		m := g.Mark(ctx, []coupon.Mark{{Tag: tag, Epoch: 2}})[0]
		require.NoError(t, m.Err)
		require.NotContains(t, client.HGetAll(ctx, p+"gate").Val(), "left")
		open := coupon.Opening{Mark: m.Mark, Event: true, Coupons: []coupon.OpeningCoupon{{Ref: ref, Terms: openTerms()}}}
		require.NoError(t, g.Open(ctx, []coupon.Opening{open})[0])
		require.Equal(t, []string{hash, p + "gate"}, keysOf(t, client, tag))
		require.Len(t, client.HGetAll(ctx, hash).Val(), 10)
		require.NoError(t, g.Sound(ctx, []coupon.Ref{ref})[0])

		require.NoError(t, client.Del(ctx, hash).Err())
		require.NoError(t, client.HSet(ctx, holders, "ghost", "1:1").Err())
		require.NoError(t, client.HSet(ctx, p+"gate", "coupons_n", "0").Err())
		require.NoError(t, g.Join(ctx, coupon.OpeningCoupon{Ref: ref, Terms: openTerms()}, 2))
		require.Equal(t, []string{hash, p + "gate"}, keysOf(t, client, tag), "a join begins with nobody")
		require.NoError(t, g.Sound(ctx, []coupon.Ref{ref})[0])
	})
}

// Whatever else stands where our keys should, the gate is not sound, and a rebuild mends it. Nothing ends in an error
// that nobody mends.
func TestForeignDataIsAnUnsoundGate(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, g gatetest.Gate, client redis.UniversalClient, id int64) {
		ctx := t.Context()
		tag := fmt.Sprint("e", id)
		p := "fc:{" + tag + "}:"
		holders, pending, hash := fmt.Sprint(p, "holders:", id), fmt.Sprint(p, "pending:", id), fmt.Sprint(p, "coupon:", id)
		ref := coupon.Ref{Tag: tag, CouponID: id, EventID: id, PerUserLimit: 1, Member: true, Siblings: []int64{id}}
		epoch := int64(0)
		field := func(key, name, value string) func() error {
			return func() error { return client.HSet(ctx, key, name, value).Err() }
		}
		text := func(key string) func() error {
			return func() error {
				if err := client.Del(ctx, key).Err(); err != nil {
					return err
				}
				return client.Set(ctx, key, "somebody else's", 0).Err()
			}
		}
		for _, foreign := range []struct {
			why   coupon.UnsoundWhy
			write func() error
		}{
			{coupon.WhyNoGate, text(p + "gate")}, {coupon.WhyCoupon, text(hash)}, {coupon.WhyHolders, text(holders)},
			{coupon.WhyPending, text(pending)}, {coupon.WhyMembers, text(p + "members")},
			{coupon.WhyNoGate, field(p+"gate", "st", "ajar")}, {coupon.WhyNoGate, field(p+"gate", "epoch", "")},
			{coupon.WhyNoGate, field(p+"gate", "generation", "1.5")}, {coupon.WhyNoGate, field(p+"gate", "members_n", "nan")},
			{coupon.WhyForeign, field(p+"gate", "server", "")}, {coupon.WhyNoGate, field(p+"gate", "coupons_n", "x")},
			{coupon.WhyCoupons, field(p+"gate", "coupons_n", "2")}, {coupon.WhyMembers, field(p+"gate", "members_n", "0")},
			{coupon.WhyCoupon, field(hash, "state", "ajar")}, {coupon.WhyCoupon, field(hash, "opens_us", "")},
			{coupon.WhyCoupon, field(hash, "closes_us", "0x10")}, {coupon.WhyCoupon, field(hash, "cap", "many")},
			{coupon.WhyCoupon, field(hash, "admitted", "-1")}, {coupon.WhyCoupon, field(hash, "returned", "")},
			{coupon.WhyCoupon, field(hash, "pending_n", " 1")}, {coupon.WhyCoupon, field(hash, "last_seq", "1e3")},
			{coupon.WhyCoupon, field(hash, "revision", "inf")}, {coupon.WhyCoupon, field(hash, "per_user_limit", "")},
			{coupon.WhyCoupon, field(hash, "per_user_limit", "2")}, {coupon.WhyCoupon, field(hash, "next_at_us", "1")},
			{coupon.WhyHolders, field(hash, "admitted", "9")}, {coupon.WhyPending, field(hash, "pending_n", "9")},
			{coupon.WhyHolders, field(holders, "u", "no place")}, {coupon.WhyHolders, field(holders, "v", "1:1")},
		} {
			epoch++
			m := g.Mark(ctx, []coupon.Mark{{Tag: tag, Epoch: epoch}})[0]
			if m.Err != nil { // a text without an epoch counts as absent, a gate without one, too
				t.Fatal(m.Err)
			}
			open := coupon.Opening{Mark: m.Mark, Event: true, Coupons: []coupon.OpeningCoupon{{Ref: ref, Terms: openTerms()}}}
			require.NoError(t, g.Open(ctx, []coupon.Opening{open})[0])
			ask := admission.Call{Ref: ref, Asks: []admission.Ask{{UserID: "u"}}}
			require.NoError(t, g.Admit(ctx, []admission.Call{ask})[0].Err)
			require.NoError(t, foreign.write())
			var unsound *coupon.UnsoundError
			require.ErrorAs(t, g.Admit(ctx, []admission.Call{ask})[0].Err, &unsound)
			require.Equal(t, foreign.why, unsound.Why)
			if client.HGet(ctx, holders, "u").Val() == "no place" {
				_, _, err := g.Holder(ctx, ref, "u", 0)
				require.ErrorAs(t, err, &unsound)
				_, err = g.Sweepable(ctx, ref, admission.Sweep{Limit: 1, Owner: "o", Lease: time.Second})
				require.ErrorAs(t, err, &unsound)
			}
		}
	})
}

// Private keys of a rebuild that died go by themselves.
func TestLoadsRunOut(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, g gatetest.Gate, client redis.UniversalClient, id int64) {
		tag := fmt.Sprint("e", id)
		ref := coupon.Ref{Tag: tag, CouponID: id, EventID: id, PerUserLimit: 1, Member: true, Siblings: []int64{id}}
		places := []coupon.Place{{UserID: "u", Nth: 1, Seq: 1, AcceptedAt: time.UnixMicro(1_795_000_000_123_456)}}
		load := func(m coupon.Mark) string { return fmt.Sprintf("fc:{%s}:load:%d:%s:", tag, m.Epoch, m.Token) }
		rows := g.Mark(t.Context(), []coupon.Mark{{Tag: tag, Epoch: 1}})[0]
		require.NoError(t, g.LoadRows(t.Context(), rows.Mark, ref, places))
		requireRunsOut(t, client, load(rows.Mark)+"members", fmt.Sprint(load(rows.Mark), "holders:", id))
		tail := g.Mark(t.Context(), []coupon.Mark{{Tag: tag, Epoch: 2}})[0]
		_, err := g.LoadTail(t.Context(), tail.Mark, ref, places)
		require.NoError(t, err)
		requireRunsOut(t, client, load(tail.Mark)+"members", load(tail.Mark)+"calls", fmt.Sprint(load(tail.Mark), "holders:", id))
	})
}

func requireRunsOut(t *testing.T, client redis.UniversalClient, keys ...string) {
	t.Helper()
	for _, key := range keys {
		ttl := client.PTTL(t.Context(), key).Val()
		require.Greater(t, ttl, 50*time.Minute, key)
		require.LessOrEqual(t, ttl, time.Hour, key)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	for _, name := range []string{envSingle, envCluster} {
		if os.Getenv(name) == "" {
			fmt.Printf("redisgate: %s is not set: the tests on that server were skipped\n", name)
		}
	}
	os.Exit(code)
}
