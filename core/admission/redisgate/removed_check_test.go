package redisgate

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
	"github.com/firstcome/firstcome/core/coupon"
)

// Each test of rule 2 is taken out of the scripts in turn: the gate that lost something then decides, which the scripts
// as they are do not. So no test is there for show, and none stands in for another.
func TestEveryTestOfSoundnessIsNeeded(t *testing.T) {
	t.Parallel()
	del := func(key string) func(*testing.T, *redis.Client, *embedded.Server) {
		return func(t *testing.T, client *redis.Client, _ *embedded.Server) {
			require.NoError(t, client.Del(t.Context(), "fc:{e9}:"+key).Err())
		}
	}
	for name, c := range map[string]struct {
		check, without string // in lua/prelude.lua
		why            coupon.UnsoundWhy
		lose           func(*testing.T, *redis.Client, *embedded.Server)
	}{
		"open": {"if g[1] == 'mark' then", "if false then", coupon.WhyMarked,
			func(t *testing.T, client *redis.Client, _ *embedded.Server) {
				require.NoError(t, client.HSet(t.Context(), "fc:{e9}:gate", "st", "mark").Err())
			}},
		"run id": {"return run .. ':' .. reign", "return reign", coupon.WhyForeign,
			func(_ *testing.T, _ *redis.Client, s *embedded.Server) { s.NewRun() }},
		"replication id": {"return run .. ':' .. reign", "return run", coupon.WhyForeign,
			func(_ *testing.T, _ *redis.Client, s *embedded.Server) { s.NewReign() }},
		"server": {"g[3] ~= this_server()", "false", coupon.WhyForeign,
			func(_ *testing.T, _ *redis.Client, s *embedded.Server) { s.NewIdentity() }},
		"holders": {"ask('HLEN', KEYS[3]) ~= coupon.admitted + coupon.returned", "false", coupon.WhyHolders, del("holders:5")},
		"pending": {"ask('ZCARD', KEYS[4]) ~= coupon.pending_n", "false", coupon.WhyPending, del("pending:5")},
		"members": {"ask('SCARD', KEYS[5]) ~= gate.members_n", "false", coupon.WhyMembers, del("members")},
		"coupons": {"redis.call('EXISTS', unpack(KEYS, 6)) ~= gate.coupons_n", "false", coupon.WhyCoupons, del("coupon:6")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := embedded.Start("127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(server.Close)
			client := redis.NewClient(&redis.Options{Addr: server.Addr()})
			whole, cut := New(client), New(client)
			t.Cleanup(func() { require.NoError(t, whole.Close()) })
			require.Equal(t, 1, strings.Count(luaSource("prelude"), c.check))
			cut.scripts = loadScripts(func(name string) string {
				return strings.Replace(luaSource(name), c.check, c.without, 1)
			})

			for _, g := range []*Gate{whole, cut} {
				ref := sellOne(t, g)
				c.lose(t, client, server)
				answer := g.Admit(t.Context(), []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "new"}}}})[0]
				if g == cut {
					require.NoError(t, answer.Err, "another check stands in for this one")
					require.Equal(t, coupon.Admitted, answer.Decisions[0].Verdict)
					continue
				}
				var unsound *coupon.UnsoundError
				require.ErrorAs(t, answer.Err, &unsound)
				require.Equal(t, c.why, unsound.Why)
				require.NoError(t, client.FlushAll(t.Context()).Err()) // the server is this test's own
			}
		})
	}
}

// sellOne opens the gate of an event with two coupons and gives one place away, which stays pending.
func sellOne(t *testing.T, g *Gate) coupon.Ref {
	t.Helper()
	terms := coupon.Terms{
		State: coupon.StateOpen, OpensAt: time.Now().Add(-time.Hour), ClosesAt: time.Now().Add(time.Hour),
	}
	ref := coupon.Ref{Tag: "e9", CouponID: 5, EventID: 9, PerUserLimit: 1, Member: true, Siblings: []int64{5, 6}}
	other := ref
	other.CouponID = 6
	marks := g.Mark(t.Context(), []coupon.Mark{{Tag: ref.Tag, Epoch: 1}})
	require.NoError(t, marks[0].Err)
	o := coupon.Opening{
		Mark: marks[0].Mark, Event: true, Coupons: []coupon.OpeningCoupon{{Ref: ref, Terms: terms}, {Ref: other, Terms: terms}},
	}
	require.NoError(t, g.Open(t.Context(), []coupon.Opening{o})[0])
	answer := g.Admit(t.Context(), []admission.Call{{Ref: ref, Asks: []admission.Ask{{UserID: "first"}}}})[0]
	require.NoError(t, answer.Err)
	return ref
}
