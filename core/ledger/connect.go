package ledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// Waits of a session.
const (
	// sessionWait is how long a server keeps a session that says nothing (wait_timeout, rule 11): a consumer that was
	// stopped in the middle of a transaction holds its shared locks on gates so long, and a rebuild waits for them.
	sessionWait = 5 * time.Second
	// idleWait is below sessionWait, so that the pool gives connections back before the server ends them; its cleaner
	// may be late by as much again.
	idleWait = 2 * time.Second
	// lockWait is how long a statement waits for another's lock (innodb_lock_wait_timeout): above sessionWait, so that
	// a stopped session is gone before anybody gives up because of it.
	lockWait = 10 * time.Second
	// busyWait is the same for SQLite's one write lock.
	busyWait = 5 * time.Second
)

// strictMode refuses what would otherwise be stored cut, clipped or as zero.
const strictMode = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

// session is a connector whose connections are set up before anybody gets them.
type session struct {
	driver.Connector
	settings []string
}

// sessionSettings are the statements that every connection begins with. SET TRANSACTION is what MySQL 8 and MariaDB both
// know; their variables for it have different names.
func sessionSettings() []string {
	return []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
		fmt.Sprintf("SET SESSION sql_mode = '%s', time_zone = '+00:00', autocommit = 1, wait_timeout = %d, "+
			"innodb_lock_wait_timeout = %d", strictMode, int(sessionWait.Seconds()), int(lockWait.Seconds())),
	}
}

// Connect implements driver.Connector.
func (s session) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	runner, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("the driver cannot run a statement by itself"), conn.Close())
	}
	for _, set := range s.settings {
		if _, err := runner.ExecContext(ctx, set, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("set up the session: %w", err), conn.Close())
		}
	}
	return conn, nil
}
