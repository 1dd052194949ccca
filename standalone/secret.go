package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/config"
)

// servicesEnv is where the scripts that start real servers keep the settings of the roles. Its secret goes before the
// data folder's, for the running stack and for tokens alike, so that a token fits whichever stack is running.
var servicesEnv = filepath.Join(".run", "env")

const secretVariable = "FIRSTCOME_AUTH_HS256_SECRET"

// Secret finds the key that tokens are signed with: the configured one, else that of .run/env, else that of the data
// folder. The error says what to do when there is none.
func Secret(cfg config.Config) (config.Secret, error) {
	if cfg.Auth.JWKSURL != "" {
		return "", errors.New("auth.jwks_url is set: tokens come from whoever has the keys that it names")
	}
	if cfg.Auth.HS256Secret != "" {
		return cfg.Auth.HS256Secret, nil
	}
	secret, err := fileSecret(servicesEnv)
	if err != nil || secret != "" {
		return secret, err
	}
	secret, err = readSecret(cfg.Standalone.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no secret to sign with: set %s, or start the stack first (make run makes one in %s), or name the "+
			"data folder that a demo has printed (FIRSTCOME_STANDALONE_DATA_DIR): %w", secretVariable, cfg.Standalone.DataDir, fs.ErrNotExist)
	}
	return secret, err
}

// fileSecret reads the secret from a file of NAME=value lines; "" when there is no such file or line.
func fileSecret(path string) (config.Secret, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a fixed place below the working folder
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		value, ok := strings.CutPrefix(line, secretVariable+"=")
		if value = strings.Trim(value, `"'`); !ok || value == "" {
			continue
		}
		if len(value) < config.MinSecret {
			return "", fmt.Errorf("%s in %s has %d bytes; allowed: at least %d", secretVariable, path, len(value), config.MinSecret)
		}
		return config.Secret(value), nil
	}
	return "", nil
}

// TokenTTL is how long a token for trying things out is good: a working day.
const TokenTTL = 12 * time.Hour

// Token signs a token of a user; the role "admin" opens the admin paths, "" or "user" does not.
func Token(secret config.Secret, userID, role string, now time.Time, ttl time.Duration) (string, error) {
	if !coupon.ValidUserID(userID) {
		return "", fmt.Errorf("user %q: must have 1 to %d characters of [A-Za-z0-9._:@-]", userID, coupon.MaxUserID)
	}
	claims := jwt.MapClaims{"sub": userID, "iat": now.Unix(), "exp": now.Add(ttl).Unix()}
	switch role {
	case "admin":
		claims["roles"] = []string{"admin"}
	case "", "user":
	default:
		return "", fmt.Errorf("role %q: must be admin or user", role)
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret.Reveal()))
}
