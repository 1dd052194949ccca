package ledgertest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/logging/logtest"
)

var troubleTests = map[string]func(*testing.T, desk){
	"a full disk is waited for":                             fullDisk,
	"a full disk does not keep failed events from trouble":  fullDiskOfFailures,
	"a read-only database is waited for":                    readOnly,
	"a lock that is held too long has its name":             heldLock,
	"another version of the schema is not written into":     otherVersion,
	"a schema that refuses good records is no failed event": refusingSchema,
	"what is wrong is said with its beginning":              saidSince,
	"a long trouble does not flood the log":                 noFlood,
}

// trouble makes the next transactions of the desk's own database fail, until heal.
type trouble struct {
	name ledger.Trouble
	make func(t *testing.T, b desk)
	heal func(t *testing.T, b desk)
}

func full(table string) trouble {
	return trouble{
		name: ledger.TroubleFull,
		make: func(t *testing.T, b desk) {
			if b.file {
				b.exec(t, fmt.Sprintf("PRAGMA max_page_count = %d", b.count(t, "PRAGMA page_count")))
				return
			}
			b.exec(t, "CREATE TRIGGER full BEFORE INSERT ON "+table+
				" FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'")
		},
		heal: func(t *testing.T, b desk) {
			if b.file {
				b.exec(t, "PRAGMA max_page_count = 1000000")
				return
			}
			b.exec(t, "DROP TRIGGER full")
		},
	}
}

// waitedFor requires that a batch fails with the trouble's name and leaves nothing, and is written when it is over.
func (b desk) waitedFor(t *testing.T, of trouble, batch func(coupon.Coupon) []ledger.Record, rows int64, failed int) {
	t.Helper()
	c := b.publish(t)
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "before", 1))))
	of.make(t, b)
	for range 2 {
		err := w.Write(t.Context(), batch(c))
		require.Error(t, err, "nothing may be marked")
		require.Equal(t, of.name, ledger.TroubleOf(err), "%v", err)
		require.ErrorContains(t, err, of.name.Words())
	}
	b.requireRows(t, c, 1)
	require.Empty(t, b.failed(t, topic), "nothing goes to failed events for that")
	of.heal(t, b)
	require.NoError(t, w.Write(t.Context(), batch(c)))
	b.requireRows(t, c, 1+rows)
	require.Len(t, b.failed(t, topic), failed)
	require.NoError(t, b.book.Check(t.Context()))
}

// many is a batch that no page of the file has room for.
func many(c coupon.Coupon) []ledger.Record { return records(1, manyPlaces(c, 900)...) }

func fullDisk(t *testing.T, b desk) { b.own(t).waitedFor(t, full("issues"), many, 900, 0) }

// The failed event is what cannot be kept: then its record is not passed.
func fullDiskOfFailures(t *testing.T, b desk) {
	b.own(t).waitedFor(t, full("failed_events"), func(c coupon.Coupon) []ledger.Record {
		batch := records(1, place(c, "u", 2))
		for i := range 20 {
			batch = append(batch, ledger.Record{
				Offset: int64(2 + i), Payload: bytes.Repeat([]byte("x"), 8<<10), Broken: fmt.Errorf("no JSON"), Reason: coupon.FailUndecodable,
			})
		}
		return batch
	}, 1, 20)
}

func readOnly(t *testing.T, b desk) {
	if !b.file {
		t.Skip("only a server of one's own may be made read-only: e2e does")
	}
	b.own(t).waitedFor(t, trouble{
		name: ledger.TroubleReadOnly,
		make: func(t *testing.T, b desk) { b.exec(t, "PRAGMA query_only = 1") },
		heal: func(t *testing.T, b desk) { b.exec(t, "PRAGMA query_only = 0") },
	}, many, 900, 0)
}

func heldLock(t *testing.T, b desk) {
	b = b.own(t)
	c := b.publish(t)
	other, err := b.book.SQL().Conn(t.Context())
	if b.file {
		require.NoError(t, other.Close())
		var pool *sql.DB
		pool, err = sql.Open("sqlite", strings.TrimPrefix(b.dsn, "sqlite:")+"?_pragma=busy_timeout(1)")
		require.NoError(t, err)
		defer func() { require.NoError(t, pool.Close()) }()
		other, err = pool.Conn(t.Context())
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	if !b.file {
		_, err = other.ExecContext(t.Context(), "SET SESSION innodb_lock_wait_timeout = 1")
		require.NoError(t, err)
	}
	holder := b.begin(t)
	holder.exec(t, "UPDATE coupons SET min_order_amount = 1 WHERE id = ?", c.ID)
	_, err = other.ExecContext(t.Context(), "UPDATE coupons SET min_order_amount = 2 WHERE id = ?", c.ID)
	require.Equal(t, ledger.TroubleLock, ledger.TroubleOf(err), "%v", err)
	holder.commit(t)
}

func otherVersion(t *testing.T, b desk) {
	b = b.own(t)
	for name, change := range map[string]string{
		"newer": "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)",
		"older": "UPDATE goose_db_version SET version_id = version_id - 50",
	} {
		undo := "DELETE FROM goose_db_version WHERE version_id = 99"
		if name == "older" {
			undo = "UPDATE goose_db_version SET version_id = version_id + 50"
		}
		b.waitedFor(t, trouble{
			name: ledger.TroubleSchema,
			make: func(t *testing.T, b desk) {
				b.exec(t, change)
				require.Eventually(t, func() bool { return b.book.Check(t.Context()) != nil }, patience, tick)
				<-time.After(schemaSeen) // the writer has looked a moment ago
			},
			heal: func(t *testing.T, b desk) { b.exec(t, undo) },
		}, func(c coupon.Coupon) []ledger.Record { return records(1, place(c, name, 2)) }, 1, 0)
	}
}

// schemaSeen is for how long a writer believes its last look at the schema.
const schemaSeen = 5 * time.Second

// A column that became too narrow for good records: a refusal of the database that is no word about the record.
func refusingSchema(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite's columns have no length")
	}
	b.own(t).waitedFor(t, trouble{
		name: ledger.TroubleSchema,
		make: func(t *testing.T, b desk) {
			b.exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
			b.exec(t, "ALTER TABLE issues MODIFY user_id VARCHAR(6) CHARACTER SET ascii COLLATE ascii_bin NOT NULL")
		},
		heal: func(t *testing.T, b desk) {
			b.exec(t, "ALTER TABLE issues MODIFY user_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL")
			b.exec(t, "DELETE FROM goose_db_version WHERE version_id = 99")
		},
	}, func(c coupon.Coupon) []ledger.Record { return records(1, place(c, "a-longer-name", 2)) }, 1, 0)
}

func saidSince(t *testing.T, b desk) {
	b = b.own(t)
	reg := prometheus.NewRegistry()
	var log logtest.Buffer
	book, err := ledger.Open(t.Context(), ledger.Config{
		DSN: b.dsn, MaxConns: 2, Registerer: reg, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	b.book = book
	defer func() { require.NoError(t, book.Close()) }()
	c := b.publish(t)
	w, _ := b.writer(t)
	require.NoError(t, book.Check(t.Context()))
	require.Zero(t, gauge(t, reg, "firstcome_database_trouble", "disk_full"))

	of := full("issues")
	of.make(t, b)
	began := time.Now().UTC().Truncate(time.Second)
	require.Error(t, w.Write(t.Context(), many(c)))
	require.EqualValues(t, 1, gauge(t, reg, "firstcome_database_trouble", "disk_full"))
	require.Positive(t, gauge(t, reg, "firstcome_database_trouble_seconds", ""))
	require.Positive(t, gauge(t, reg, "firstcome_database_errors_total", "disk_full"))
	require.Contains(t, log.String(), "disk or table is full")
	of.heal(t, b)
	require.NoError(t, w.Write(t.Context(), many(c)))
	require.Zero(t, gauge(t, reg, "firstcome_database_trouble", "disk_full"))
	require.Zero(t, gauge(t, reg, "firstcome_database_trouble_seconds", ""))
	require.Contains(t, log.String(), "the database works again")

	b.exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	err = book.Check(t.Context())
	require.ErrorContains(t, err, "since "+began.Format("2006-01-02T"))
	require.ErrorContains(t, err, "knows only")
	require.Equal(t, ledger.TroubleSchema, ledger.TroubleOf(err))
}

func noFlood(t *testing.T, b desk) {
	b = b.own(t)
	var log logtest.Buffer
	book, err := ledger.Open(t.Context(), ledger.Config{DSN: b.dsn, MaxConns: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	defer func() { require.NoError(t, book.Close()) }()
	b.exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	for range 200 {
		require.Error(t, book.Check(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), -1) // slow, then the schema again
		require.Error(t, book.Check(ctx))
		cancel()
	}
	require.LessOrEqual(t, strings.Count(log.String(), "\n"), 6, "%s", log.String())
	require.Positive(t, strings.Count(log.String(), "\n"))
}

// gauge is the value of a metric with this trouble; "" takes the one without the label.
func gauge(t *testing.T, reg *prometheus.Registry, name, trouble string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			value := ""
			for _, label := range m.GetLabel() {
				if label.GetName() == "trouble" {
					value = label.GetValue()
				}
			}
			if value == trouble {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s{trouble=%q}", name, trouble)
	return 0
}
