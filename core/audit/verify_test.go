package audit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/audit"
	"github.com/firstcome/firstcome/core/ledger/ledgertest"
)

// corruption makes coupons of its own. What it returns is called when they are in all three books, spoils one of them, and
// says what must be found then, and nothing else.
type corruption func(w *world) func() []string

func one(t audit.Type, c *coupon, p place) string {
	s := audit.Subject{Coupon: c.id, User: p.user, Nth: p.nth}
	return string(t) + ": " + s.String()
}

func of(t audit.Type, c *coupon) string {
	return string(t) + ": " + audit.Subject{Coupon: c.id}.String()
}

func ofTag(t audit.Type, c *coupon) string {
	return string(t) + ": " + audit.Subject{Tag: c.tag()}.String()
}

const longAgo = -3 * time.Hour

func corruptions() map[string]corruption {
	return map[string]corruption{
		"nothing": func(w *world) func() []string {
			w.coupon(1, 0, nil, 4)
			return func() []string { return nil }
		},
		"more rows than the cap": func(w *world) func() []string {
			c := w.coupon(1, 5, nil, 5)
			return func() []string {
				w.exec("UPDATE coupons SET total_quantity = 3 WHERE id = ?", c.id)
				w.hset(c.key("coupon"), "cap", 3)
				return []string{of(audit.OverIssued, c)}
			}
		},
		"one row above the user's limit": func(w *world) func() []string {
			c := w.coupon(2, 0, nil, 3)
			user := c.places[0].user
			w.place(c, user, 2)
			w.place(c, user, 3)
			return func() []string {
				return []string{string(audit.DoubleIssue) + ": " + audit.Subject{Coupon: c.id, User: user}.String()}
			}
		},
		"two coupons of one event": func(w *world) func() []string {
			a := w.inEvent(3)
			b := w.coupon(1, 0, a, 2)
			user := a.places[0].user
			p := w.place(b, user, 1)
			b.places = b.places[:len(b.places)-1]
			return func() []string {
				w.holder(b, p)
				w.record(b, p, 1)
				w.row(&coupon{id: b.id, epoch: 1}, p) // without the event, or the database would refuse it
				w.consume()
				return []string{
					string(audit.EventLimitBroken) + ": " + audit.Subject{User: user, Tag: a.tag()}.String(),
					string(audit.GateDrift) + ": " + audit.Subject{User: user, Tag: a.tag()}.String(), // the gate let him in all the same
				}
			}
		},
		"a member who holds nothing, and a holder who is no member": func(w *world) func() []string {
			a := w.inEvent(2)
			b := w.coupon(1, 0, a, 2)
			return func() []string {
				members := "fc:{" + a.tag() + "}:members"
				require.NoError(w.t, w.redis.SRem(w.ctx(), members, b.places[1].user).Err())
				require.NoError(w.t, w.redis.SAdd(w.ctx(), members, "nobody").Err()) // so that they are as many
				var list []string
				for _, user := range []string{b.places[1].user, "nobody"} {
					list = append(list, string(audit.GateDrift)+": "+audit.Subject{User: user, Tag: a.tag()}.String())
				}
				return list
			}
		},
		"two users with one number": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 4)
			c.places[3].seq = 2
			return func() []string {
				return []string{string(audit.SequenceDuplicate) + ": " + audit.Subject{Coupon: c.id, Seq: 2}.String()}
			}
		},
		"accepted before it opened": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			c.places[1].at = c.opens.Add(-time.Microsecond)
			c.places[0].at = c.opens
			return func() []string { return []string{one(audit.WindowViolation, c, c.places[1])} }
		},
		"accepted when it had closed": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			c.places[1].at = c.closes
			c.places[0].at = c.closes.Add(-time.Microsecond)
			return func() []string { return []string{one(audit.WindowViolation, c, c.places[1])} }
		},
		"accepted in a window that a change took away": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			c.places[1].at = c.closes.Add(time.Minute)
			return func() []string {
				w.change(c, 2, now.Add(longAgo), c.closes.Add(time.Hour))
				w.exec("INSERT INTO coupon_change_ends (coupon_id, revision, outcome, ended_at) VALUES (?, 2, 'done', ?)", c.id, stamp(now))
				return nil
			}
		},
		"a row that is gone": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.exec("DELETE FROM issues WHERE coupon_id = ? AND user_id = ?", c.id, c.places[1].user)
				w.exec("UPDATE coupons SET issued_count = 2 WHERE id = ?", c.id)
				return []string{one(audit.LostPromise, c, c.places[1])}
			}
		},
		"a record called stale that no rebuild overtook": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 2)
			p := w.place(c, fmt.Sprintf("late-%d", c.id), 1)
			c.places = c.places[:2]
			return func() []string {
				w.holder(c, p)
				partition, offset := w.record(c, p, 1)
				w.fail(c, p.user, partition, offset, "stale_epoch", "waiting", now.Add(time.Minute))
				w.consume()
				return []string{one(audit.LostPromise, c, p)}
			}
		},
		"a settled holder that the log does not have": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			p := w.place(c, fmt.Sprintf("lost-%d", c.id), 1)
			c.places = c.places[:3]
			return func() []string {
				w.holder(c, p)
				return []string{one(audit.LostPromise, c, p)}
			}
		},
		"a row that the log does not have": func(w *world) func() []string {
			c := w.coupon(2, 0, nil, 3)
			p := w.place(c, fmt.Sprintf("ghost-%d", c.id), 2)
			c.places = c.places[:3]
			return func() []string {
				w.holder(c, p)
				w.row(c, p)
				return []string{one(audit.GhostRow, c, p)}
			}
		},
		"a counter that is wrong": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.exec("UPDATE coupons SET issued_count = 4 WHERE id = ?", c.id)
				return []string{of(audit.CounterDrift, c)}
			}
		},
		"a holder that is gone": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				require.NoError(w.t, w.redis.HDel(context.Background(), c.key("holders"), c.places[1].user).Err())
				w.hset(c.key("coupon"), "admitted", 2)
				return []string{one(audit.GateDrift, c, c.places[1])}
			}
		},
		"a holder with another number": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.hset(c.key("holders"), c.places[1].user, fmt.Sprintf("77:%d", c.places[1].at.UnixMicro()))
				w.hset(c.key("coupon"), "last_seq", 77)
				return []string{one(audit.GateDrift, c, c.places[1])}
			}
		},
		"a gate that has miscounted its holders": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.hset(c.key("coupon"), "admitted", 4)
				return []string{of(audit.GateDrift, c)}
			}
		},
		"a gate that has lost a coupon's hash": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				require.NoError(w.t, w.redis.Del(context.Background(), c.key("coupon")).Err())
				return []string{of(audit.GateDrift, c)}
			}
		},
		"a pending entry of nobody": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.pending(c, "nobody", time.Now().Add(time.Minute))
				return []string{one(audit.GateDrift, c, place{user: "nobody", nth: 1})}
			}
		},
		"a place that stays pending": func(w *world) func() []string {
			c := w.coupon(2, 0, nil, 3)
			p := w.place(c, fmt.Sprintf("waits-%d", c.id), 1)
			c.places = c.places[:3]
			return func() []string {
				w.holder(c, p)
				w.pending(c, c.field(p), now.Add(longAgo))
				return []string{one(audit.StuckPending, c, p)}
			}
		},
		"a place that is pending for a moment": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			p := w.place(c, fmt.Sprintf("young-%d", c.id), 1)
			c.places = c.places[:3]
			return func() []string {
				w.holder(c, p)
				w.pending(c, p.user, time.Now().Add(time.Minute))
				return nil
			}
		},
		"a gate behind its epoch": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.exec("UPDATE gates SET epoch = 2 WHERE tag = ?", c.tag())
				return []string{ofTag(audit.StaleEpoch, c)}
			}
		},
		"a gate that is lost": func(w *world) func() []string {
			c := w.inEvent(3)
			return func() []string {
				require.NoError(w.t, w.redis.Del(context.Background(), c.gate()).Err())
				return []string{ofTag(audit.StaleEpoch, c)}
			}
		},
		"a gate of another server": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.hset(c.gate(), "server", "a:b")
				return []string{ofTag(audit.StaleEpoch, c)}
			}
		},
		"a gate that is marked and not opened": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.hset(c.gate(), "st", "mark")
				return []string{ofTag(audit.StaleEpoch, c)}
			}
		},
		"a gate above the database's epoch": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.hset(c.gate(), "epoch", 9)
				return []string{ofTag(audit.ForeignEpoch, c)}
			}
		},
		"a record above the database's epoch": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			p := place{user: fmt.Sprintf("future-%d", c.id), nth: 1, seq: 50, at: now}
			return func() []string {
				partition, offset := w.record(c, p, 9)
				w.fail(c, p.user, partition, offset, "future_epoch", "waiting", now.Add(time.Minute))
				w.consume()
				return []string{one(audit.ForeignEpoch, c, p)}
			}
		},
		"terms that the gate does not have": func(w *world) func() []string {
			c := w.coupon(1, 9, nil, 3)
			return func() []string {
				w.exec("UPDATE coupons SET total_quantity = 7 WHERE id = ?", c.id)
				return []string{of(audit.TermsDrift, c)}
			}
		},
		"terms on their way": func(w *world) func() []string {
			c := w.coupon(1, 9, nil, 3)
			return func() []string {
				w.exec("UPDATE coupons SET total_quantity = 11 WHERE id = ?", c.id)
				w.change(c, 2, time.Now(), c.closes)
				return nil
			}
		},
		"a change without an end": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			return func() []string {
				w.change(c, 2, now.Add(longAgo), c.closes)
				return []string{string(audit.ChangeHalfDone) + ": " + audit.Subject{Coupon: c.id, Revision: 2}.String()}
			}
		},
		"a failed event that is due for long": func(w *world) func() []string {
			return w.failing("waiting", longAgo, true)
		},
		"a failed event that is due soon": func(w *world) func() []string {
			return w.failing("waiting", time.Minute, false)
		},
		"a failed event in quarantine": func(w *world) func() []string {
			return w.failing("quarantined", longAgo, true)
		},
		"a failed event that was replayed": func(w *world) func() []string {
			return w.failing("replayed", longAgo, false)
		},
		"what is no record": func(w *world) func() []string {
			w.coupon(1, 0, nil, 3)
			return func() []string {
				partition, offset := w.produce("x", "hello")
				w.consume()
				return []string{string(audit.RecordUndecodable) + ": " + audit.Subject{Partition: &partition, Offset: &offset}.String()}
			}
		},
		"a record that a rebuild overtook and nobody noted": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			p := place{user: fmt.Sprintf("slow-%d", c.id), nth: 1, seq: 4, at: now}
			return func() []string {
				w.rebuilt(c)
				w.record(c, p, 1)
				w.consume()
				return []string{one(audit.RecordUnaccounted, c, p)}
			}
		},
		"a record that a rebuild overtook and the gate refused": func(w *world) func() []string {
			c := w.coupon(1, 0, nil, 3)
			p := place{user: fmt.Sprintf("slow-%d", c.id), nth: 1, seq: 4, at: now}
			return func() []string {
				w.rebuilt(c)
				partition, offset := w.record(c, p, 1)
				w.fail(c, p.user, partition, offset, "stale_epoch", "quarantined", now.Add(longAgo))
				w.consume()
				return nil // nothing is owed
			}
		},
		"a planted record that the cap refused": func(w *world) func() []string {
			c := w.coupon(1, 3, nil, 3)
			p := place{user: fmt.Sprintf("mallory-%d", c.id), nth: 1, seq: 4, at: now}
			return func() []string {
				partition, offset := w.record(c, p, 1)
				w.fail(c, p.user, partition, offset, "over_cap", "waiting", now.Add(time.Minute))
				w.consume()
				return []string{one(audit.PlantedRecord, c, p)}
			}
		},
		"a planted record that displaced somebody": func(w *world) func() []string {
			c := w.coupon(1, 4, nil, 3)
			honest := w.place(c, fmt.Sprintf("honest-%d", c.id), 1)
			c.places = c.places[:3]
			planted := place{user: fmt.Sprintf("mallory-%d", c.id), nth: 1, seq: 40, at: now}
			return func() []string {
				w.holder(c, honest)
				w.record(c, planted, 1)
				w.row(c, planted)
				partition, offset := w.record(c, honest, 1)
				w.fail(c, honest.user, partition, offset, "over_cap", "waiting", now.Add(time.Minute))
				w.consume()
				return []string{one(audit.Displaced, c, honest), one(audit.GateDrift, c, planted)}
			}
		},
	}
}

func (w *world) failing(status string, due time.Duration, want bool) func() []string {
	c := w.coupon(1, 0, nil, 2)
	p := w.place(c, fmt.Sprintf("failing-%d", c.id), 1)
	c.places = c.places[:2]
	return func() []string {
		w.holder(c, p)
		partition, offset := w.record(c, p, 1)
		w.fail(c, p.user, partition, offset, "refused_by_db", status, now.Add(due))
		w.consume()
		if !want {
			return nil
		}
		var id int64
		require.NoError(w.t, w.db.QueryRowContext(context.Background(), "SELECT id FROM failed_events WHERE coupon_id = ?", c.id).Scan(&id))
		return []string{string(audit.FailedEventOverdue) + ": " + audit.Subject{Coupon: c.id, User: p.user, FailedEvent: id}.String()}
	}
}

func (w *world) pending(c *coupon, field string, at time.Time) {
	require.NoError(w.t, w.redis.ZAdd(context.Background(), c.key("pending"), redis.Z{Score: float64(at.UnixMicro()), Member: field}).Err())
	c.pendingN++
	w.hset(c.key("coupon"), "pending_n", c.pendingN)
}

func (w *world) change(c *coupon, revision int64, at, closes time.Time) {
	w.exec(`INSERT INTO coupon_changes (coupon_id, revision, epoch, stored_first, from_total, from_state, from_opens_at, from_closes_at,
		to_total, to_state, to_opens_at, to_closes_at, reason, changed_by, created_at) VALUES (?, ?, 1, 1, NULL, 'open', ?, ?, NULL, 'open', ?, ?, '', '', ?)`,
		c.id, revision, stamp(c.opens), stamp(closes), stamp(c.opens), stamp(c.closes), stamp(at))
}

// rebuilt makes the gate one of epoch 2, with a barrier at the log's present ends.
func (w *world) rebuilt(c *coupon) {
	was := c.epoch
	w.rebuiltAs(c, 2)
	c.epoch = was // of the rows and records that the test still plants
}

func TestEachCorruptionIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	onBooks(t, func(t *testing.T, w *world) {
		for name, plant := range corruptions() {
			t.Run(name, func(t *testing.T) {
				w.empty(t)
				w.coupon(1, 0, nil, 2) // with which nothing is wrong
				spoil := plant(w)
				w.write()
				want := spoil()
				r := w.verify()
				require.ElementsMatch(t, want, found(r), "%+v", r.Findings)
				require.Equal(t, len(want) == 0, r.Clean)
			})
		}
	})
}

// Pages of rows end inside a coupon, at its end and between coupons; what does not fit in one block on disk comes back.
func TestManyRowsAreAllSeenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "")
	for _, users := range []int{1, 4_998, 1, 12_345, 0, 5_000, 3} {
		w.coupon(1, 0, nil, users)
	}
	w.bulk()
	r := w.verify()
	require.Empty(t, r.Findings)
	const all = 1 + 4_998 + 1 + 12_345 + 5_000 + 3
	require.Equal(t, audit.LookedAt{Rows: all, Records: all, Holders: all, Gates: 7}, r.LookedAt)
}

// Whichever of the three cannot be read, nothing is said about the others.
func TestABookThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "")
	w.coupon(1, 0, nil, 1)
	w.write()
	for book, spoil := range map[audit.Book]func(*audit.Config){
		audit.Database: func(c *audit.Config) { c.DSN = "sqlite:" + t.TempDir() + "/none.db" },
		audit.Gates:    func(c *audit.Config) { c.Redis.Addrs = []string{"127.0.0.1:1"} },
		audit.Log:      func(c *audit.Config) { c.Kafka.Topic = "another" },
	} {
		cfg := w.cfg
		spoil(&cfg)
		_, err := audit.Verify(t.Context(), cfg)
		var blind *audit.BlindError
		require.ErrorAs(t, err, &blind, "%s", book)
		require.Equal(t, book, blind.Book)
	}
	cfg := w.cfg
	cfg.Coupon = 99
	_, err := audit.Verify(t.Context(), cfg)
	require.EqualError(t, err, "there is no coupon 99", "the database was looked at")
}

// Whoever sees that a server is away gets the setting to look at, as of the doctor.
func TestABookThatDoesNotOpenNamesItsSetting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "")
	for want, spoil := range map[string]func(*audit.Config){
		"nothing listens at 127.0.0.1:1: is the database running, is database.dsn right? (": func(c *audit.Config) { c.DSN = "root:hunter2@tcp(127.0.0.1:1)/x" },
		"/none.db does not open; is database.dsn right? (":                                  func(c *audit.Config) { c.DSN = "sqlite:" + t.TempDir() + "/none.db" },
		"nothing listens at 127.0.0.1:1: is Redis running, is redis.addrs right? (":         func(c *audit.Config) { c.Redis.Addrs = []string{"127.0.0.1:1"} },
		"nothing listens at 127.0.0.1:1: is Kafka running, is kafka.brokers right? (":       func(c *audit.Config) { c.Kafka.Brokers = []string{"127.0.0.1:1"} },
	} {
		cfg := w.cfg
		spoil(&cfg)
		_, err := audit.Verify(t.Context(), cfg)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// Records that nobody reads are told apart from those that are being read.
func TestConsumersThatDoNotMoveAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "")
	c := w.coupon(1, 0, nil, 3)
	w.write()
	p := w.place(c, "unread", 1)
	w.holder(c, p)
	partition, _ := w.record(c, p, 1)
	r := w.verify()
	require.Empty(t, r.Findings, "nobody waited, so nobody knows")
	require.Len(t, r.Notes, 1)
	w.cfg.Settle = 2 * time.Second
	require.Equal(t, []string{"consumer_stuck: " + audit.Subject{Partition: &partition}.String()}, found(w.verify()))
}

// onBooks runs a test on embedded books, and on real ones where there are some. The subtests of one share its books.
func onBooks(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for name, made := range map[string]func(t *testing.T) *world{
		"embedded":      func(t *testing.T) *world { return newWorld(t, false, "") },
		"mysql":         func(t *testing.T) *world { return newWorld(t, true, ledgertest.EnvMySQL) },
		"mariadb":       func(t *testing.T) *world { return newWorld(t, true, ledgertest.EnvMariaDB) },
		"redis cluster": func(t *testing.T) *world { return newClusterWorld(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, made(t))
		})
	}
}
