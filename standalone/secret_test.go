package standalone

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestASecretIsReadFromTheLinesOfAnEnvironmentFile(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef0123456789abcdef"
	path := filepath.Join(t.TempDir(), "env")
	for text, want := range map[string]string{
		"":                            "",
		"FIRSTCOME_REDIS_ADDRS=a:1\n": "",
		"# x\nFIRSTCOME_AUTH_HS256_SECRET=" + secret + "\n":        secret,
		"export FIRSTCOME_AUTH_HS256_SECRET='" + secret + "'\nA=b": secret,
		"FIRSTCOME_AUTH_HS256_SECRET=\n":                           "",
		"FIRSTCOME_AUTH_HS256_SECRET=\"" + secret + "\"\n":         secret,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		found, err := fileSecret(path)
		require.NoError(t, err, text)
		assert.Equal(t, want, found.Reveal(), text)
	}
	require.NoError(t, os.WriteFile(path, []byte("FIRSTCOME_AUTH_HS256_SECRET=short\n"), 0o600))
	_, err := fileSecret(path)
	require.ErrorContains(t, err, "has 5 bytes; allowed: at least 32")
	found, err := fileSecret(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err)
	assert.Empty(t, found)

	_, err = readSecret(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, secretFile), []byte("cut"), 0o600))
	_, err = readSecret(dir)
	require.ErrorContains(t, err, "remove it and a new one is made")
}
