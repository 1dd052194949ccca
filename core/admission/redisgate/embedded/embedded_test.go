package embedded_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
)

const identity = `
	local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
	local reign = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
	return { run, reign }`

// A script, and anybody else, is told who the server is, in the form that Redis tells it.
func TestSaysWhoItIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	ids := func() []string {
		ids, err := client.Eval(t.Context(), identity, nil).StringSlice()
		require.NoError(t, err)
		require.Len(t, ids, 2)
		for _, id := range ids {
			require.Regexp(t, `^[0-9a-f]{40}$`, id)
		}
		return ids
	}
	first := ids()
	require.Equal(t, first, ids())
	info := client.Info(t.Context(), "server").Val()
	require.Equal(t, first[0], regexp.MustCompile(`run_id:(\w+)`).FindStringSubmatch(info)[1])
	require.NoError(t, client.Info(t.Context(), "clients").Err(), "what else there is to ask is answered as before")

	s.NewReign()
	second := ids()
	require.Equal(t, first[0], second[0])
	require.NotEqual(t, first[1], second[1])
	s.NewRun()
	third := ids()
	require.NotEqual(t, second[0], third[0])
	require.Equal(t, second[1], third[1])
	s.NewIdentity()
	fourth := ids()
	require.NotEqual(t, third[0], fourth[0])
	require.NotEqual(t, third[1], fourth[1])
}

func TestStandingClockAndExpiry(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	now := time.Date(2026, 11, 20, 12, 0, 0, 123_456_000, time.UTC)
	s.SetTime(now)
	require.True(t, now.Equal(client.Time(t.Context()).Val()))
	require.NoError(t, client.Set(t.Context(), "k", "v", time.Second).Err())
	s.SetTime(now.Add(999 * time.Millisecond))
	require.Equal(t, "v", client.Get(t.Context(), "k").Val())
	s.SetTime(now.Add(time.Second))
	require.ErrorIs(t, client.Get(t.Context(), "k").Err(), redis.Nil)
}

func TestATakenPortIsAnError(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, err := embedded.Start(s.Addr())
	require.ErrorContains(t, err, s.Addr())
}

func start(t *testing.T) *embedded.Server {
	t.Helper()
	s, err := embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}
