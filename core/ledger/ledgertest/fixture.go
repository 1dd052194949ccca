package ledgertest

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

// desk is one database with what the tests need of it. Tests share it and keep apart by their ids and topics.
type desk struct {
	book  *ledger.Book
	dsn   string
	fresh func(t *testing.T) string // the DSN of a new, empty database of the same kind
	file  bool                      // SQLite
}

// own is a desk with a database of its own, for tests that look at all of it.
func (b desk) own(t *testing.T) desk {
	t.Helper()
	dsn := b.fresh(t)
	return desk{book: open(t, dsn, true), dsn: dsn, fresh: b.fresh, file: b.file}
}

// newID is an id that no other test has.
func newID() int64 { return rand.Int64N(coupon.MaxID-1) + 1 } //nolint:gosec // an id is no secret

func ptr[T any](v T) *T { return &v }

var dayOne = time.Date(2026, 11, 20, 12, 0, 0, 123000, time.UTC)

func (b desk) vendor(t *testing.T) int64 {
	t.Helper()
	id := newID()
	require.NoError(t, b.book.CreateVendor(t.Context(), id, fmt.Sprintf("vendor %d", id)))
	return id
}

func (b desk) event(t *testing.T) int64 {
	t.Helper()
	id := newID()
	require.NoError(t, b.book.CreateEvent(t.Context(), coupon.Event{
		ID: id, Name: fmt.Sprintf("event %d", id), StartsAt: dayOne, EndsAt: dayOne.AddDate(0, 1, 0),
	}))
	return id
}

// draft is a good coupon, changed by each of the given functions.
func draft(vendor int64, with ...func(*coupon.Coupon)) coupon.Coupon {
	id := newID()
	c := coupon.Coupon{
		ID: id, VendorID: vendor, Name: fmt.Sprintf("coupon %d", id), Kind: coupon.FirstComeIssue, PerUserLimit: 1,
		Terms: coupon.Terms{State: coupon.StateOpen, OpensAt: dayOne, ClosesAt: dayOne.AddDate(0, 1, 0)},
	}
	for _, change := range with {
		change(&c)
	}
	return c
}

func total(n int64) func(*coupon.Coupon)    { return func(c *coupon.Coupon) { c.Total = &n } }
func ofEvent(id int64) func(*coupon.Coupon) { return func(c *coupon.Coupon) { c.EventID = id } }
func perUser(limit int) func(*coupon.Coupon) {
	return func(c *coupon.Coupon) { c.PerUserLimit = limit }
}
func named(name string) func(*coupon.Coupon) { return func(c *coupon.Coupon) { c.Name = name } }
func withID(id int64) func(*coupon.Coupon)   { return func(c *coupon.Coupon) { c.ID = id } }
func validFor(days int) func(*coupon.Coupon) { return func(c *coupon.Coupon) { c.ValidForDays = days } }
func freeUse() func(*coupon.Coupon)          { return func(c *coupon.Coupon) { c.Kind = coupon.FirstComeUse } }
func (b desk) publish(t *testing.T, with ...func(*coupon.Coupon)) coupon.Coupon {
	t.Helper()
	c := draft(b.vendor(t), with...)
	b.create(t, c)
	return c
}

func (b desk) create(t *testing.T, coupons ...coupon.Coupon) []coupon.Created {
	t.Helper()
	created := b.book.CreateCoupons(t.Context(), coupons)
	for _, answer := range created {
		require.NoError(t, answer.Err)
	}
	return created
}

// writer is a writer of a topic of its own.
func (b desk) writer(t *testing.T) (*ledger.Writer, string) {
	t.Helper()
	topic := fmt.Sprintf("test.%d", newID())
	return b.writerOf(topic), topic
}

func (b desk) writerOf(topic string) *ledger.Writer {
	return ledger.NewWriter(b.book, ledger.WriterOptions{
		Topic: topic, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
}

// place is a good place of a user at a coupon.
func place(c coupon.Coupon, user string, seq int64, with ...func(*coupon.Place)) coupon.Place {
	p := coupon.Place{CouponID: c.ID, UserID: user, Nth: 1, Seq: seq, Epoch: 1, AcceptedAt: dayOne.Add(time.Duration(seq) * time.Millisecond)}
	for _, change := range with {
		change(&p)
	}
	return p
}

func epoch(k int64) func(*coupon.Place)  { return func(p *coupon.Place) { p.Epoch = k } }
func nth(n int) func(*coupon.Place)      { return func(p *coupon.Place) { p.Nth = n } }
func key(key string) func(*coupon.Place) { return func(p *coupon.Place) { p.Key = key } }

// record puts a place at an offset, as the journal would.
func record(offset int64, p coupon.Place) ledger.Record {
	return ledger.Record{
		Offset: offset, Key: []byte(p.UserID), Place: p,
		Payload: fmt.Appendf(nil, `{"coupon_id":%d,"user_id":%q,"seq":%d,"epoch":%d}`, p.CouponID, p.UserID, p.Seq, p.Epoch),
	}
}

// records puts places at consecutive offsets.
func records(from int64, places ...coupon.Place) []ledger.Record {
	out := make([]ledger.Record, len(places))
	for i, p := range places {
		out[i] = record(from+int64(i), p)
	}
	return out
}

// of puts records into a partition.
func of(partition int32, all []ledger.Record) []ledger.Record {
	for i := range all {
		all[i].Partition = partition
	}
	return all
}

func (b desk) count(t *testing.T, query string, args ...any) int64 {
	t.Helper()
	var n int64
	require.NoError(t, b.book.SQL().QueryRowContext(t.Context(), query, args...).Scan(&n), query)
	return n
}

func (b desk) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	_, err := b.book.SQL().ExecContext(t.Context(), query, args...)
	require.NoError(t, err, query)
}

// requireRows asserts the rows of a coupon and that its counter says the same.
func (b desk) requireRows(t *testing.T, c coupon.Coupon, want int64) {
	t.Helper()
	require.Equal(t, want, b.count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", c.ID), "rows")
	require.Equal(t, want, b.count(t, "SELECT issued_count FROM coupons WHERE id = ?", c.ID), "issued_count")
}

// failed lists the failed events of a topic as "offset reason".
func (b desk) failed(t *testing.T, topic string) []string {
	t.Helper()
	rows, err := b.book.SQL().QueryContext(t.Context(),
		"SELECT offset_no, reason FROM failed_events WHERE topic = ? ORDER BY partition_no, offset_no", topic)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // read to its end below
	list := []string{}
	for rows.Next() {
		var offset int64
		var reason string
		require.NoError(t, rows.Scan(&offset, &reason))
		list = append(list, fmt.Sprintf("%d %s", offset, reason))
	}
	require.NoError(t, rows.Err())
	return list
}
