package standalone_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/standalone"
)

func TestASecondStandaloneOnTheFolderIsRefusedWithAHelp(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	start(t, cfg)
	err := standalone.Run(t.Context(), cfg, standalone.Options{Log: discard})
	require.ErrorContains(t, err, "another standalone is running on "+cfg.Standalone.DataDir)
	require.ErrorContains(t, err, "(process ")
	require.ErrorContains(t, err, "FIRSTCOME_STANDALONE_DATA_DIR")
}

func TestAPortThatIsTakenIsRefusedWithAHelp(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at the end
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	for _, variable := range []string{"FIRSTCOME_HTTP_ADDR", "FIRSTCOME_OPS_ADDR"} {
		cfg := settings(t, t.TempDir(), variable+"="+taken.Addr().String())
		err := standalone.Run(t.Context(), cfg, standalone.Options{Log: discard})
		require.ErrorContains(t, err, taken.Addr().String()+" is taken by another program")
		require.ErrorContains(t, err, variable)
	}
}

func TestTheSecretIsMadeOnceAndForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	_, err := standalone.Secret(cfg)
	require.ErrorContains(t, err, "no secret to sign with")
	require.ErrorContains(t, err, "the data folder that a demo has printed (FIRSTCOME_STANDALONE_DATA_DIR)")

	s := start(t, cfg)
	info, err := os.Stat(filepath.Join(cfg.Standalone.DataDir, "secret"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	secret, err := standalone.Secret(cfg)
	require.NoError(t, err)
	assert.Equal(t, s.Secret, secret)
	assert.NotContains(t, s.log.String(), secret.Reveal())
	s.stop()

	again := start(t, cfg)
	assert.Equal(t, secret, again.Secret)
	status, _ := again.send(t, "alice", "", http.MethodGet, "/v1/me/issues", nil)
	assert.Equal(t, http.StatusOK, status)
}

func TestAConfiguredSecretGoesFirst(t *testing.T) {
	t.Parallel()
	const configured = "a secret that somebody configured, long enough"
	cfg := settings(t, t.TempDir(), "FIRSTCOME_AUTH_HS256_SECRET="+configured)
	secret, err := standalone.Secret(cfg)
	require.NoError(t, err)
	assert.Equal(t, configured, secret.Reveal())

	cfg.Auth = config.Auth{JWKSURL: "https://keys.example/jwks"}
	_, err = standalone.Secret(cfg)
	require.ErrorContains(t, err, "auth.jwks_url is set")
}

func TestTokensSayWhoAndAs(t *testing.T) {
	t.Parallel()
	const secret = config.Secret("0123456789abcdef0123456789abcdef")
	now := time.Now()
	for role, roles := range map[string]any{"admin": []any{"admin"}, "user": nil, "": nil} {
		token, err := standalone.Token(secret, "alice", role, now, time.Hour)
		require.NoError(t, err)
		parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(secret), nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
		require.NoError(t, err)
		claims, ok := parsed.Claims.(jwt.MapClaims)
		require.True(t, ok)
		assert.Equal(t, "alice", claims["sub"])
		assert.Equal(t, roles, claims["roles"])
	}
	_, err := standalone.Token(secret, "two words", "user", now, time.Hour)
	require.ErrorContains(t, err, "[A-Za-z0-9._:@-]")
	_, err = standalone.Token(secret, "alice", "boss", now, time.Hour)
	require.ErrorContains(t, err, "must be admin or user")
}

func TestSettingsOfItsOwnServersAreLeftOutWithAWord(t *testing.T) {
	t.Parallel()
	s := start(t, settings(t, t.TempDir(), "FIRSTCOME_REDIS_ADDRS=192.0.2.1:6379", "FIRSTCOME_DATABASE_DSN=sqlite:/nowhere/x"))
	assert.Contains(t, s.log.String(), "redis.addrs")
	assert.Contains(t, s.log.String(), "database.dsn")
	assert.NotContains(t, s.log.String(), "/nowhere/x")
	addresses, err := os.ReadFile(filepath.Join(s.DataDir, "embedded.env"))
	require.NoError(t, err)
	assert.Contains(t, string(addresses), "FIRSTCOME_REDIS_ADDRS="+s.Redis+"\n")
	assert.Contains(t, string(addresses), "FIRSTCOME_DATABASE_DSN=sqlite:"+s.Ledger+"\n")
}
