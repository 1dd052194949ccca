package standalone

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"github.com/firstcome/firstcome/core/support/config"
)

// Names in the data folder.
const (
	lockFile    = "standalone.lock" // held while a process uses the folder; says which
	secretFile  = "secret"          // the key of the tokens, unless one is configured
	ledgerFile  = "ledger.db"
	journalDir  = "journal"
	addressFile = "embedded.env" // where the embedded servers of the running process listen
)

// folder is a data folder that this process alone uses.
type folder struct {
	path string
	lock *flock.Flock
}

// openFolder makes the folder when it is missing and takes its lock.
func openFolder(path string) (*folder, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("standalone.data_dir %s: %w", path, err)
	}
	if err = os.MkdirAll(absolute, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the data folder: set standalone.data_dir (FIRSTCOME_STANDALONE_DATA_DIR) to one that can be written: %w", err)
	}
	f := &folder{path: absolute, lock: flock.New(filepath.Join(absolute, lockFile), flock.SetPermissions(0o600))}
	held, err := f.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock the data folder %s: %w", absolute, err)
	}
	if !held {
		return nil, fmt.Errorf("another standalone is running on %s%s: stop it, or set standalone.data_dir "+
			"(FIRSTCOME_STANDALONE_DATA_DIR) to another folder", absolute, f.holder())
	}
	// For the message above, in the other process.
	if err = os.WriteFile(f.file(lockFile), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("the data folder %s: %w", absolute, err), f.lock.Unlock())
	}
	return f, nil
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

// holder names the process that has the lock, if it has said so.
func (f *folder) holder() string {
	text, err := os.ReadFile(f.file(lockFile))
	if err != nil {
		return ""
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		return fmt.Sprintf(" (process %d)", pid)
	}
	return ""
}

// release gives the folder to the next process.
func (f *folder) release() error { return f.lock.Unlock() }

// ownSecret is the key of the tokens: the configured one (see Secret), else the folder's, which is made when it is
// missing.
func (f *folder) ownSecret(cfg config.Config) (config.Secret, error) {
	cfg.Standalone.DataDir = f.path
	secret, err := Secret(cfg)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	random := make([]byte, config.MinSecret)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	text := hex.EncodeToString(random)
	if err := os.WriteFile(f.file(secretFile), []byte(text+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the secret: %w", err)
	}
	return config.Secret(text), nil
}

// readSecret reads the key of a data folder; fs.ErrNotExist when it has none.
func readSecret(dataDir string) (config.Secret, error) {
	path := filepath.Join(dataDir, secretFile)
	text, err := os.ReadFile(path) //nolint:gosec // the folder is configured
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < config.MinSecret {
		return "", fmt.Errorf("%s has %d bytes, %d are needed: remove it and a new one is made (older tokens end with it)",
			path, len(secret), config.MinSecret)
	}
	return config.Secret(secret), nil
}
