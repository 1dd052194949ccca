package embedded_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeysExpireByTheClockWhetherItRunsOrIsSet(t *testing.T) {
	t.Parallel()
	s, err := embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(s.Close)
	keep := func(key string, ttl time.Duration) {
		require.NoError(t, s.Raw().Set(key, "x"))
		s.Raw().SetTTL(key, ttl)
	}
	keep("short", 100*time.Millisecond)
	keep("long", time.Hour)
	require.Eventually(t, func() bool { return !s.Raw().Exists("short") }, 10*time.Second, 10*time.Millisecond)
	assert.True(t, s.Raw().Exists("long"))

	start := time.Now()
	s.SetTime(start)
	keep("set", time.Minute)
	s.SetTime(start.Add(time.Minute - time.Microsecond))
	assert.True(t, s.Raw().Exists("set"))
	s.SetTime(start.Add(time.Minute))
	assert.False(t, s.Raw().Exists("set"))
	s.Close()
}
