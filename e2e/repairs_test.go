package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/e2e/stack"
)

// books is a stack on real servers whose roles are started one by one, so that nobody repairs what is spoiled but who is
// told to. Nobody sweeps: quietAPI.
type books struct {
	*stack.Stack
	api, consumer *stack.Proc
	record        func(partition int32, user, value string) // planted by whoever can write to the topic
}

func newBooks(t *testing.T) *books {
	t.Helper()
	b := &books{Stack: stack.Start(t, stack.Real, stack.Options{Bare: true, Env: []string{
		"FIRSTCOME_REBUILD_LEASE=3s", "FIRSTCOME_BATCH_LEASE=5s",
	}})}
	b.api, b.consumer = b.Launch(t, "api", nil, quietAPI), b.Launch(t, "consumer", nil)
	b.record = func(partition int32, user, value string) { b.Produce(t, partition, user, []byte(value)) }
	return b
}

func (b *books) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	conn, err := b.SQL.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "SET check_constraint_checks = 0") // MariaDB's second line; MySQL 8.0.15 has none
	if err == nil {
		defer func() {
			_, err = conn.ExecContext(t.Context(), "SET check_constraint_checks = 1")
			require.NoError(t, err)
		}()
	}
	defer conn.Close() //nolint:errcheck // back into the pool
	_, err = conn.ExecContext(t.Context(), query, args...)
	require.NoError(t, err, query)
}

func (b *books) key(tag, what string, coupon int64) string {
	if what == "gate" || what == "members" {
		return fmt.Sprintf("fc:{%s}:%s", tag, what)
	}
	return fmt.Sprintf("fc:{%s}:%s:%d", tag, what, coupon)
}

// holder gives a place of a coupon that stands alone, without anybody's asking.
func (b *books) holder(t *testing.T, coupon int64, user string, seq int64, at time.Time) {
	t.Helper()
	tag := tagOf(coupon)
	require.NoError(t, b.Redis.HSet(t.Context(), b.key(tag, "holders", coupon), user, fmt.Sprintf("%d:%d", seq, at.UnixMicro())).Err())
	require.NoError(t, b.Redis.HIncrBy(t.Context(), b.key(tag, "coupon", coupon), "admitted", 1).Err())
	require.NoError(t, b.Redis.HSet(t.Context(), b.key(tag, "coupon", coupon), "last_seq", max(seq, 3)).Err())
}

// planted is a record that no gate gave.
func planted(coupon int64, user string, nth int, seq int64, at time.Time) string {
	return fmt.Sprintf(`{"v":1,"coupon_id":%d,"user_id":%q,"nth":%d,"seq":%d,"epoch":1,"accepted_at":%q}`,
		coupon, user, nth, seq, at.UTC().Format("2006-01-02T15:04:05.000000Z"))
}

// place is where a user's first record stands.
func (b *books) place(t *testing.T, coupon int64, user string) (partition int32, offset int64) {
	t.Helper()
	for _, r := range b.Journal(t) {
		var p struct {
			Coupon int64  `json:"coupon_id"`
			User   string `json:"user_id"`
		}
		if json.Unmarshal(r.Value, &p) == nil && p.Coupon == coupon && p.User == user {
			return r.Partition, r.Offset
		}
	}
	t.Fatalf("the log has no record of %s", user)
	return 0, 0
}

// failed waits for a failed event and returns its id.
func (b *books) failed(t *testing.T, where string, args ...any) int64 {
	t.Helper()
	stack.Eventually(t, drainWithin, func() bool {
		return b.Count(t, "SELECT COUNT(*) FROM failed_events WHERE "+where, args...) == 1
	}, "a failed event: %s %v", where, args)
	return b.Count(t, "SELECT id FROM failed_events WHERE "+where, args...)
}

// caughtUp waits until the consumer has everything.
func (b *books) caughtUp(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	stack.Eventually(t, drainWithin, func() bool {
		ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), b.Topic)
		committed, cerr := kadm.NewClient(client).FetchOffsets(t.Context(), b.Group)
		if err != nil || cerr != nil || ends.Error() != nil {
			return false
		}
		all := true
		ends.Each(func(o kadm.ListedOffset) {
			c, has := committed.Lookup(b.Topic, o.Partition)
			all = all && (o.Offset == 0 || has && c.At == o.Offset)
		})
		return all
	}, "the consumer has everything")
}

// types counts findings by type.
func types(a stack.Audit) map[string]int {
	n := map[string]int{}
	for _, f := range a.Findings {
		n[f.Type]++
	}
	return n
}

// flaw is one thing that is spoiled by hand in a coupon of its own, with three users' rows.
type flaw struct {
	name   string
	fields map[string]any // of the coupon
	plant  func(t *testing.T, b *books, id int64)
	found  map[string]int // what verify finds
	left   map[string]int // and still finds after a reconcile: a person decides
	// person does what the runbook says; nil: there is nothing to do.
	person func(t *testing.T, b *books, id int64)
	// stays is what verify goes on finding: what happened cannot be undone.
	stays map[string]int
}

func count(types ...string) map[string]int {
	n := map[string]int{}
	for _, name := range types {
		n[name]++
	}
	return n
}

// Every type of finding at once, each in a coupon of its own: a reconcile that is killed in the middle, again and again, and
// then one that is not, repair all that can be repaired and nothing else; the rest is named to a person, and what the
// runbook has them do ends it. (displaced: TestPlantedRecordsNeverExceedTheCapAndAreNamed.)
func TestEveryFindingIsRepairedOrLeftToAPerson(t *testing.T) {
	t.Parallel()
	needPoints(t)
	b := newBooks(t)
	flaws := append(repairable(), decided()...)
	ids := make([]int64, len(flaws))
	for i, f := range flaws {
		ids[i] = b.Coupon(t, f.fields)
		for n := range 3 {
			a, err := b.Claim(t.Context(), 0, ids[i], fmt.Sprintf("u%d", n), "key")
			require.NoError(t, err)
			require.True(t, a.Accepted(), "%s", a.Body)
		}
	}
	b.caughtUp(t)
	require.Empty(t, b.Verify(t, "5s").Findings)
	b.api.Stop(t)
	found, left, stays := map[string]int{}, map[string]int{}, map[string]int{}
	add := func(to, what map[string]int) {
		for name, n := range what {
			to[name] += n
		}
	}
	for i, f := range flaws {
		f.plant(t, b, ids[i])
		add(found, f.found)
		add(left, f.left)
		add(stays, f.stays)
	}
	b.caughtUp(t)
	audit := b.Verify(t, "1s")
	require.Equal(t, found, types(audit), "%+v", audit.Findings)

	for _, point := range []string{"sweep.journaled", "claim.journaled:2", "rebuild.loaded"} {
		b.dies(t, point, "reconcile", "--settle", "500ms")
	}
	out := b.finished(t, 1, "reconcile", "--settle", "8s")
	audit = b.Verify(t, "5s")
	require.Equal(t, left, types(audit), "%+v\nreconcile said:\n%s", audit.Findings, out)
	for _, f := range audit.Findings {
		require.Contains(t, f.Repair, "a person decides", "%+v", f)
		require.Contains(t, out, f.Type, "it is told")
	}

	b.api = b.Launch(t, "api", nil, quietAPI)
	b.Stack = b.At(b.api)
	for i, f := range flaws {
		if f.person != nil {
			f.person(t, b, ids[i])
		}
	}
	out, errs, _ := b.Batch(t, "reconcile", "--settle", "8s")
	audit = b.Verify(t, "5s")
	require.Equal(t, stays, types(audit), "%+v\nreconcile said:\n%s%s", audit.Findings, out, errs)
	b.stuckConsumers(t, ids[0])
}

// dies runs a command of batch that is killed at a point, as soon as it is its turn.
func (b *books) dies(t *testing.T, point string, args ...string) {
	t.Helper()
	stack.Eventually(t, 2*drainWithin, func() bool {
		died := b.Doomed(t, "batch", args, point)
		if died.Exit(t, 2*drainWithin) == syscall.SIGKILL {
			return true
		}
		require.Contains(t, died.Log(), "another instance is repairing", "it ended before %s", point)
		return false
	}, "batch %v is killed at %s", args, point)
}

// finished runs a command of batch until it is not another one's turn: who was killed has the lease a while longer.
func (b *books) finished(t *testing.T, status int, args ...string) string {
	t.Helper()
	var said [2]string
	stack.Eventually(t, 2*drainWithin, func() bool {
		var is int
		said[0], said[1], is = b.Batch(t, args...)
		return is == status && said[0] != ""
	}, "batch %v ends with status %d: %v", args, status, &said)
	return said[0]
}

// stuckConsumers has the last type found: nobody reads the log. A person starts a consumer.
func (b *books) stuckConsumers(t *testing.T, id int64) {
	t.Helper()
	before := types(b.Verify(t, "1s"))
	b.consumer.Stop(t)
	a, err := b.Claim(t.Context(), 0, id, "unread", "key")
	require.NoError(t, err)
	require.True(t, a.Accepted(), "%s", a.Body)
	after := types(b.Verify(t, "3s"))
	require.Equal(t, 1, after["consumer_stuck"])
	b.consumer = b.Launch(t, "consumer", nil)
	require.Equal(t, before, types(b.Verify(t, "15s")))
}

// repairable are the flaws that a reconcile repairs.
func repairable() []flaw {
	hset := func(t *testing.T, b *books, key string, values ...any) {
		t.Helper()
		require.NoError(t, b.Redis.HSet(t.Context(), key, values...).Err())
	}
	now := time.Now()
	return []flaw{
		{name: "a counter", found: count("counter_drift"), plant: func(t *testing.T, b *books, id int64) {
			b.exec(t, "UPDATE coupons SET issued_count = 7 WHERE id = ?", id)
		}},
		{name: "a row that went", found: count("lost_promise"), plant: func(t *testing.T, b *books, id int64) {
			b.exec(t, "DELETE FROM issues WHERE coupon_id = ? AND user_id = 'u1'", id)
			b.exec(t, "UPDATE coupons SET issued_count = 2 WHERE id = ?", id)
		}},
		{name: "holders whom the log does not have", found: count("lost_promise", "lost_promise"), plant: func(t *testing.T, b *books, id int64) {
			b.holder(t, id, "kept-1", 4, now)
			b.holder(t, id, "kept-2", 5, now)
		}},
		{name: "a row that the log does not have", found: count("ghost_row"), plant: func(t *testing.T, b *books, id int64) {
			at := now.UTC().Truncate(time.Microsecond)
			b.holder(t, id, "ghost", 4, at)
			b.exec(t, `INSERT INTO issues (coupon_id, user_id, nth, seq, epoch, status, accepted_at, issued_at)
				VALUES (?, 'ghost', 1, 4, 1, 'issued', ?, ?)`, id, at, at)
			b.exec(t, "UPDATE coupons SET issued_count = 4 WHERE id = ?", id)
		}},
		{name: "a holder who went", found: count("gate_drift"), plant: func(t *testing.T, b *books, id int64) {
			require.NoError(t, b.Redis.HDel(t.Context(), b.key(tagOf(id), "holders", id), "u1").Err())
			hset(t, b, b.key(tagOf(id), "coupon", id), "admitted", 2)
		}},
		{name: "other terms", fields: map[string]any{"total_quantity": 9}, found: count("terms_drift"), plant: func(t *testing.T, b *books, id int64) {
			b.exec(t, "UPDATE coupons SET total_quantity = 7 WHERE id = ?", id)
		}},
		{name: "a gate that is shut", found: count("stale_epoch"), plant: func(t *testing.T, b *books, id int64) {
			hset(t, b, b.key(tagOf(id), "gate", id), "st", "mark")
		}},
		{name: "places that stay pending", found: count("stuck_pending"), plant: func(t *testing.T, b *books, id int64) {
			b.holder(t, id, "waits", 4, now)
			require.NoError(t, b.Redis.ZAdd(t.Context(), b.key(tagOf(id), "pending", id), redis.Z{Score: float64(now.Add(-time.Hour).UnixMicro()), Member: "waits"}).Err())
			hset(t, b, b.key(tagOf(id), "coupon", id), "pending_n", 1)
		}},
		{name: "a failed event that nobody retried", found: count("failed_event_overdue"), plant: func(t *testing.T, b *books, id int64) {
			b.refused(t, id, "u1", "waiting", now.Add(-3*time.Hour))
		}},
		{name: "a change without an end", found: count("change_half_done"), plant: func(t *testing.T, b *books, id int64) {
			b.exec(t, `INSERT INTO coupon_changes (coupon_id, revision, epoch, stored_first, from_total, from_state, from_opens_at, from_closes_at,
				to_total, to_state, to_opens_at, to_closes_at, reason, changed_by, created_at) SELECT id, revision + 1, 1, 0, total_quantity, state,
				opens_at, closes_at, 50, state, opens_at, closes_at, 'planted', 'root', ? FROM coupons WHERE id = ?`, now.Add(-3*time.Hour).UTC(), id)
			b.exec(t, "UPDATE coupons SET revision = revision + 1 WHERE id = ?", id)
		}},
		{name: "an overtaken record that nobody noted", found: count("record_unaccounted"), plant: func(t *testing.T, b *books, id int64) {
			out, errs, status := b.Batch(t, "rebuild", "--force", "--tag", tagOf(id))
			require.Zero(t, status, out+errs)
			b.record(1, "slow", planted(id, "slow", 1, 4, now))
			b.exec(t, "DELETE FROM failed_events WHERE id = ?", b.failed(t, "coupon_id = ? AND reason = 'stale_epoch'", id))
		}},
		{
			name: "no record, and nobody noted it", found: count("record_undecodable"),
			left: count("failed_event_overdue"), // it is on the list now, and retried: nothing can come of it
			plant: func(t *testing.T, b *books, _ int64) {
				b.record(2, "x", "no record")
				b.exec(t, "DELETE FROM failed_events WHERE id = ?", b.failed(t, "reason = 'undecodable' AND payload = 'no record'"))
			},
			person: func(t *testing.T, b *books, _ int64) {
				b.exec(t, "UPDATE failed_events SET status = 'replayed' WHERE payload = 'no record'")
			},
		},
	}
}

// refused makes a user's row one that the database refused.
func (b *books) refused(t *testing.T, id int64, user, status string, due time.Time) {
	t.Helper()
	partition, offset := b.place(t, id, user)
	at := due.UTC()
	value := ""
	for _, r := range b.Journal(t) {
		if r.Partition == partition && r.Offset == offset {
			value = string(r.Value)
		}
	}
	b.exec(t, `INSERT INTO failed_events (topic, partition_no, offset_no, record_key, payload, reason, error, attempts, next_attempt_at,
		status, coupon_id, user_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?, 'refused_by_db', 'planted', 0, ?, ?, ?, ?, ?, ?)`,
		b.Topic, partition, offset, user, value, at, status, id, user, at, at)
	b.exec(t, "DELETE FROM issues WHERE coupon_id = ? AND user_id = ?", id, user)
	b.exec(t, "UPDATE coupons SET issued_count = issued_count - 1 WHERE id = ?", id)
}

// decided are the flaws that a person decides.
func decided() []flaw {
	return slices.Concat(tooMuch(), strange())
}

// tooMuch are rows that should not be.
func tooMuch() []flaw {
	patch := func(t *testing.T, b *books, id int64, body map[string]any) {
		t.Helper()
		body["reason"] = "found by the auditor"
		b.Must(t, http.StatusOK, http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", id), b.Token("root", true), body)
	}
	opened := time.Now().Add(-time.Hour).UTC()
	return []flaw{
		{
			name: "more rows than the total", fields: map[string]any{"total_quantity": 9}, found: count("over_issued"), left: count("over_issued"),
			plant: func(t *testing.T, b *books, id int64) {
				b.exec(t, "UPDATE coupons SET total_quantity = 2 WHERE id = ?", id)
				require.NoError(t, b.Redis.HSet(t.Context(), b.key(tagOf(id), "coupon", id), "cap", 2).Err())
			},
			person: func(t *testing.T, b *books, id int64) { patch(t, b, id, map[string]any{"total_quantity": 3}) },
		},
		{
			name: "more rows than a user may have", fields: map[string]any{"per_user_limit": 3}, found: count("double_issue"), left: count("double_issue"),
			plant: func(t *testing.T, b *books, id int64) {
				at := time.Now().UTC().Truncate(time.Microsecond)
				for nth := 2; nth <= 3; nth++ {
					key := fmt.Sprintf("key-%d", nth)
					value := planted(id, "u0", nth, int64(nth+2), at)
					b.record(0, "u0", value[:len(value)-1]+fmt.Sprintf(`,"key":%q}`, key))
					b.holder(t, id, fmt.Sprintf("u0\x1f%d", nth), int64(nth+2), at)
					require.NoError(t, b.Redis.HSet(t.Context(), b.key(tagOf(id), "holders", id), fmt.Sprintf("u0\x1f%d", nth),
						fmt.Sprintf("%d:%d:%s", nth+2, at.UnixMicro(), key)).Err())
				}
				stack.Eventually(t, drainWithin, func() bool {
					return b.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ? AND user_id = 'u0'", id) == 3
				}, "three rows")
				b.exec(t, "UPDATE coupons SET per_user_limit = 2 WHERE id = ?", id)
				require.NoError(t, b.Redis.HSet(t.Context(), b.key(tagOf(id), "coupon", id), "per_user_limit", 2).Err())
			},
			person: func(t *testing.T, b *books, id int64) {
				b.exec(t, "DELETE FROM issues WHERE coupon_id = ? AND user_id = 'u0' AND nth = 3", id)
			},
		},
		{
			name: "a number that two have", found: count("sequence_duplicate"), left: count("sequence_duplicate"), stays: count("sequence_duplicate"),
			plant: func(t *testing.T, b *books, id int64) {
				at := time.Now().UTC().Truncate(time.Microsecond)
				b.holder(t, id, "twin", 2, at)
				b.record(3, "twin", planted(id, "twin", 1, 2, at))
			},
		},
		{
			name: "accepted before it opened", fields: map[string]any{"opens_at": opened.Format(time.RFC3339)}, found: count("window_violation"), left: count("window_violation"),
			plant: func(t *testing.T, b *books, id int64) {
				at := opened.Add(-time.Hour).Truncate(time.Microsecond)
				b.holder(t, id, "early", 4, at)
				b.record(4, "early", planted(id, "early", 1, 4, at))
			},
			person: func(t *testing.T, b *books, id int64) { // the row is honoured
				patch(t, b, id, map[string]any{"opens_at": opened.Add(-2 * time.Hour).Format(time.RFC3339)})
			},
		},
	}
}

// strange are records and epochs that nobody gave out.
func strange() []flaw {
	return []flaw{
		{
			name: "a record that did not fit", fields: map[string]any{"total_quantity": 3}, found: count("planted_record"), left: count("planted_record"),
			plant: func(t *testing.T, b *books, id int64) {
				b.record(5, "mallory", planted(id, "mallory", 1, 4, time.Now()))
				b.failed(t, "coupon_id = ? AND reason = 'over_cap'", id)
			},
			stays: count("planted_record"), // nobody was harmed, and nothing is to be done
		},
		{
			name: "a gate of an epoch that nobody gave", found: count("foreign_epoch"), left: count("foreign_epoch"),
			plant: func(t *testing.T, b *books, id int64) {
				require.NoError(t, b.Redis.HSet(t.Context(), b.key(tagOf(id), "gate", id), "epoch", 9).Err())
			},
			person: func(t *testing.T, b *books, id int64) {
				b.exec(t, "UPDATE gates SET epoch = 10 WHERE tag = ?", tagOf(id))
				out, errs, status := b.Batch(t, "rebuild", "--force", "--tag", tagOf(id))
				require.Zero(t, status, out+errs)
			},
		},
		{
			name: "what can never become a row", found: count("failed_event_overdue"), left: count("failed_event_overdue"),
			plant: func(t *testing.T, b *books, _ int64) {
				b.record(6, "x", "never a row")
				b.exec(t, "UPDATE failed_events SET status = 'quarantined' WHERE id = ?", b.failed(t, "reason = 'undecodable' AND payload = 'never a row'"))
			},
			person: func(t *testing.T, b *books, _ int64) {
				b.exec(t, "UPDATE failed_events SET status = 'replayed' WHERE payload = 'never a row'")
			},
		},
		{
			name: "a failed event in quarantine", found: count("failed_event_overdue"), left: count("failed_event_overdue"),
			plant: func(t *testing.T, b *books, id int64) { b.refused(t, id, "u2", "quarantined", time.Now()) },
			person: func(t *testing.T, b *books, id int64) {
				event := b.failed(t, "coupon_id = ? AND status = 'quarantined'", id)
				b.Must(t, http.StatusAccepted, http.MethodPost, fmt.Sprintf("/v1/admin/failed-events/%d/retry", event), b.Token("root", true), nil)
				out, errs, status := b.Batch(t, "retry")
				require.Zero(t, status, out+errs)
			},
		},
	}
}

// The log has lost everything: rows that were written, promises that were not, and meanwhile places are decided that it cannot
// take. Republishing, killed in the middle more than once, puts all of it back; whoever was promised a place has it, with the
// number that was told.
func TestRepublishPutsBackWhatTheLogHasLost(t *testing.T) {
	t.Parallel()
	needPoints(t)
	b := newBooks(t)
	const each, places = 12, 100
	id := b.Coupon(t, map[string]any{"total_quantity": places})
	p := &promises{kept: map[string]stack.Receipt{}}
	for n := range each {
		p.ask(t, b.Stack, 0, id, fmt.Sprintf("written-%d", n))
	}
	b.caughtUp(t)
	b.consumer.Stop(t)
	for n := range each {
		p.ask(t, b.Stack, 0, id, fmt.Sprintf("promised-%d", n))
	}
	require.Len(t, p.kept, 2*each)
	b.loseTopic(t)
	for n := range each / 2 {
		a, err := b.Claim(t.Context(), 0, id, fmt.Sprintf("kept-%d", n))
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, a.Status, "%s", a.Body)
	}
	b.api.Kill(t) // nobody else is to repair anything
	b.Run(t, "batch", "migrate")
	require.Empty(t, b.Journal(t))

	want := map[string]int{"ghost_row": each, "lost_promise": each, "stuck_pending": each / 2}
	stack.Eventually(t, drainWithin, func() bool { return maps.Equal(want, types(b.Verify(t, "1s"))) }, "the auditor names all")
	out, errs, status := b.Batch(t, "republish", "--dry-run", "--settle", "1s")
	require.Equal(t, 1, status, out+errs)
	require.Contains(t, out, "would put into the journal")
	require.Empty(t, b.Journal(t), "it only says so")

	b.consumer = b.Launch(t, "consumer", nil)
	for _, point := range []string{"sweep.journaled", "claim.journaled:4"} {
		b.dies(t, point, "republish", "--settle", "500ms")
	}
	b.finished(t, 0, "republish", "--settle", "8s")
	require.Empty(t, b.Verify(t, "5s").Findings)
	require.EqualValues(t, 2*each+each/2, b.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", id))
	b.api = b.Launch(t, "api", nil, quietAPI)
	b.Stack = b.At(b.api)
	p.judge(t, b.Stack, id, places)
}

// loseTopic deletes the topic and waits until no broker knows of it.
func (b *books) loseTopic(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.MetadataMinAge(50*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	_, err = admin.DeleteTopics(t.Context(), b.Topic)
	require.NoError(t, err)
	stack.Eventually(t, drainWithin, func() bool {
		found, err := admin.ListTopics(t.Context(), b.Topic)
		return err == nil && !found.Has(b.Topic)
	}, "the topic is gone")
}
