package ledger

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// The triggers that keep the history of changes append-only, one statement a line. They are no versioned migration: a
// MySQL server with a binary log lets only a privileged user make triggers (unless log_bin_trust_function_creators is
// set), and a product that could not be installed without them would be worse than one whose own statements simply never
// change that history. Whoever migrates later with the right makes them then.
//
//go:embed migrations/guards/*.sql
var guards embed.FS

// Error numbers of MySQL and MariaDB about triggers.
const (
	errTriggerThere   = 1359
	errTriggerSuper   = 1419 // the binary log, and no SUPER
	errTriggerDenied  = 1142
	errSpecificDenied = 1227
)

// guard makes the triggers that are missing. One that may not be made is logged and left out.
func (b *Book) guard(ctx context.Context) error {
	file, known := "mysql.sql", "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE() AND trigger_name = ?"
	if b.dialect == dialectSQLite {
		file, known = "sqlite.sql", "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name = ?"
	}
	text, err := guards.ReadFile("migrations/guards/" + file)
	if err != nil {
		return fmt.Errorf("triggers: %w", err)
	}
	for statement := range strings.Lines(string(text)) {
		before, _, _ := strings.Cut(statement, " BEFORE ")
		name := before[strings.LastIndexByte(before, ' ')+1:]
		var there int
		if err = b.pool.QueryRowContext(ctx, known, name).Scan(&there); err != nil {
			return fmt.Errorf("look for the trigger %s: %w", name, err)
		}
		if there > 0 {
			continue
		}
		_, err = b.pool.ExecContext(ctx, statement)
		var of *mysql.MySQLError
		switch {
		case err == nil:
		case errors.As(err, &of) && of.Number == errTriggerThere: // another one migrates too
		case errors.As(err, &of) && (of.Number == errTriggerSuper || of.Number == errTriggerDenied || of.Number == errSpecificDenied):
			b.log.Warn("the history of changes is not protected by triggers; to have it, GRANT TRIGGER (and set "+
				"log_bin_trust_function_creators = 1 where there is a binary log) and migrate again", "trigger", name, "error", err)
		default:
			return fmt.Errorf("make the trigger %s: %w", name, err)
		}
	}
	return nil
}
