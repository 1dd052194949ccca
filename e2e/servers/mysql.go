package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// sqlSetup runs at every start, before a connection is accepted. Whoever has this server has it for themselves: all
// rights, so that a test may also change global variables and kill sessions.
const sqlSetup = `CREATE DATABASE IF NOT EXISTS firstcome CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'firstcome'@'127.0.0.1' IDENTIFIED BY 'firstcome';
GRANT ALL ON *.* TO 'firstcome'@'127.0.0.1' WITH GRANT OPTION;
`

// NewMySQL is a MySQL 8.0.15 as scripts/lib/sql.sh starts one, or MariaDB where MySQL is not in the cache. User, password
// and database are all "firstcome". args are further options of the server. The socket path inside dir is relative, so
// dir may be long.
func NewMySQL(dir string, args ...string) (*Server, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(cache, "mysql-8.0.15")
	program := filepath.Join(home, "bin", "mysqld")
	install := []string{program, "--no-defaults", "--initialize-insecure", "--basedir=" + home}
	own := []string{"--basedir=" + home, "--mysqlx=OFF"}
	if _, err = os.Stat(program); err != nil {
		if program, err = look("mariadbd", "/usr/sbin/mariadbd"); err != nil {
			return nil, err
		}
		own = nil
		install = []string{"mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"}
	}
	s, err := newServer("mysql", dir)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(s.addr, ":")
	setup := s.logPath + ".sql"
	all := append([]string{
		"--no-defaults", "--datadir=" + s.dir, "--port=" + port, "--bind-address=127.0.0.1", "--socket=server.sock",
		"--init-file=" + setup, "--skip-name-resolve", "--skip-log-bin", "--character-set-server=utf8mb4",
		"--default-time-zone=+00:00", "--max-connections=500", "--innodb-buffer-pool-size=128M", "--performance-schema=OFF",
	}, own...)
	all = append(all, args...)
	if os.Getuid() == 0 {
		all, install = append(all, "--user=root"), append(install, "--user=root")
	}
	s.dsn = "firstcome:firstcome@tcp(" + s.addr + ")/firstcome"
	s.command = func() (*exec.Cmd, error) {
		if err := sqlInstall(s.dir, install); err != nil {
			return nil, err
		}
		if err := os.WriteFile(setup, []byte(sqlSetup), 0o600); err != nil {
			return nil, fmt.Errorf("init file of mysql: %w", err)
		}
		return exec.Command(program, all...), nil //nolint:gosec,noctx // ended by Kill
	}
	s.ready = func(ctx context.Context) error {
		db, err := sql.Open("mysql", s.dsn+"?timeout=2s")
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		return errors.Join(db.PingContext(ctx), db.Close())
	}
	return s, nil
}

// sqlInstall fills an empty data folder.
func sqlInstall(dir string, command []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	cmd := exec.Command(command[0], append(command[1:], "--datadir="+dir)...) //nolint:gosec,noctx // takes seconds
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mysql could not make its data folder: %w\n%s", err, out)
	}
	return nil
}
