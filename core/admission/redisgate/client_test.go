package redisgate_test

import (
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
)

// What a newcomer gets wrong is answered with the key to look at, and never with the password.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(server.Close)
	locked, err := embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(locked.Close)
	locked.Raw().RequireAuth("right")
	closed, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once: a port where nobody listens
	require.NoError(t, err)
	nobody := closed.Addr().String()
	require.NoError(t, closed.Close())

	for name, c := range map[string]struct {
		cfg  redisgate.Config
		says []string
	}{
		"nobody listens":          {redisgate.Config{Addrs: []string{nobody}}, []string{nobody, "is it running?", "redis.addrs"}},
		"no address":              {redisgate.Config{}, []string{"redis.addrs"}},
		"two addresses":           {redisgate.Config{Addrs: []string{"a:1", "b:2"}}, []string{"redis.addrs", "redis.mode"}},
		"unknown mode":            {redisgate.Config{Mode: "double", Addrs: []string{"a:1"}}, []string{"redis.mode", `"double"`}},
		"password missing":        {redisgate.Config{Addrs: []string{locked.Addr()}}, []string{"redis.password"}},
		"password wrong":          {redisgate.Config{Addrs: []string{locked.Addr()}, Password: "s3cret"}, []string{"redis.password"}},
		"no cluster":              {redisgate.Config{Mode: redisgate.ModeCluster, Addrs: []string{nobody}}, []string{nobody}},
		"a database on a cluster": {redisgate.Config{Mode: redisgate.ModeCluster, Addrs: []string{"a:1"}, DB: 3}, []string{"redis.db"}},
		"sentinel without a name": {redisgate.Config{Mode: redisgate.ModeSentinel, Addrs: []string{"a:1"}}, []string{"redis.master_name"}},
		"sentinels do not answer": {redisgate.Config{Mode: redisgate.ModeSentinel, Addrs: []string{nobody}, MasterName: "m"}, []string{nobody, "redis.addrs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, openErr := redisgate.Open(t.Context(), c.cfg, slog.New(slog.DiscardHandler))
			require.Nil(t, g)
			require.Error(t, openErr)
			for _, word := range c.says {
				require.ErrorContains(t, openErr, word)
			}
			require.NotContains(t, openErr.Error(), "s3cret")
		})
	}
	g, err := redisgate.Open(t.Context(), redisgate.Config{Addrs: []string{locked.Addr()}, Password: "right"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, g.Close())
}
