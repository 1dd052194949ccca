package reconcile_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/ledger/ledgertest"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/reconcile"
)

var (
	_ reconcile.Book       = (*ledger.Book)(nil)
	_ reconcile.FailedBook = (*ledger.Book)(nil)
	_ reconcile.Gates      = (*redisgate.Gate)(nil)
	_ reconcile.Gates      = (*memgate.Gate)(nil)
	_ reconcile.Viewer     = (*redisgate.Gate)(nil)
	_ reconcile.Viewer     = (*memgate.Gate)(nil)
	_ reconcile.Log        = (*kafkajournal.Reader)(nil)
	_ publish.Gate         = (*realGate)(nil)
)

// The same tests on the ledger's SQL and the gate's scripts, in real time and therefore fewer of them.

// Shorter than the real ones, since here they are waited for.
const (
	realM     = 20 * time.Millisecond
	realLease = 200 * time.Millisecond
)

func TestOnSQLite(t *testing.T) {
	t.Parallel()
	onRealParts(t, func(t *testing.T) *ledger.Book { return ledgertest.SQLite(t) })
}

func TestOnMySQL(t *testing.T) {
	t.Parallel()
	dsn := ledgertest.ServerDSN(t, ledgertest.EnvMySQL)
	onRealParts(t, func(t *testing.T) *ledger.Book { return ledgertest.Fresh(t, dsn) })
}

func TestOnMariaDB(t *testing.T) {
	t.Parallel()
	dsn := ledgertest.ServerDSN(t, ledgertest.EnvMariaDB)
	onRealParts(t, func(t *testing.T) *ledger.Book { return ledgertest.Fresh(t, dsn) })
}

// onRealParts gives each property a book and a gate of its own: what one world left half done is another's business.
func onRealParts(t *testing.T, open func(t *testing.T) *ledger.Book) {
	t.Helper()
	for name, of := range map[string]struct {
		property func(*simulation)
		runs     int // each costs some tenths of a second, and seconds where coupons wait for their event's gate
	}{
		"rebuilds":             {rebuildsOfOne, 5},
		"rebuilds of an event": {rebuildsOfAnEvent, 3},
		"limit above one":      {rebuildsAboveOne, 5},
		"changes":              {changesAlone, 10},
		"changes and rebuilds": {changesAndRebuilds, 5},
		"changes of an event":  {changesOfAnEvent, 3},
		"publishers":           {publishers, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate, book := newRealGate(t), open(t)
			require.NoError(t, book.CreateVendor(t.Context(), 1, "vendor"))
			done, failed := 0, false
			rapid.Check(t, func(t *rapid.T) {
				if done++; done > of.runs && !failed {
					return
				}
				defer func() { failed = failed || t.Failed() }()
				gate.Flush("")
				w := worldOf(t, newRealBook(t, book), gate)
				w.m, w.lease = realM, realLease
				w.prefix = fmt.Sprintf("%x ", rand.Uint64())
				s := &simulation{t: t, w: w}
				defer s.end()
				of.property(s)
			})
		})
	}
}

func TestABigCouponComesBackOnSQLiteAndRedis(t *testing.T) {
	t.Parallel()
	gate, ledgerBook := newRealGate(t), ledgertest.SQLite(t)
	require.NoError(t, ledgerBook.CreateVendor(t.Context(), 1, "vendor"))
	book := newRealBook(t, ledgerBook)
	w := worldOf(t, book, gate)
	w.m, w.lease = realM, realLease
	id := w.publish(0, nil, 1)

	const rows, tail = 3*reconcile.PageRows + 17, 2_345
	batches := map[int32][]ledger.Record{}
	for n := range rows + tail {
		p := coupon.Place{
			CouponID: id, UserID: fmt.Sprintf("u%d", n), Nth: 1, Seq: int64(n + 1), Epoch: 1,
			AcceptedAt: time.Now().UTC().Truncate(time.Microsecond),
		}
		w.land(p)
		if partition := w.log.PartitionOf(p.UserID); n < rows {
			batches[partition] = append(batches[partition],
				ledger.Record{Partition: partition, Offset: int64(len(batches[partition])), Place: p})
		}
	}
	for partition, batch := range batches {
		for part := range slices.Chunk(batch, 1000) {
			require.NoError(t, book.writer.Write(t.Context(), part))
		}
		w.log.Commit(partition, int64(len(batch)-5)) // the last marks are lost
	}
	gate.Flush("")
	report := w.rebuild(w.ref(id).Tag)
	require.EqualValues(t, rows, report.Tags[0].Rows, report.String())
	require.EqualValues(t, tail, report.Tags[0].Tail)
	held, verdict, err := gate.Holder(t.Context(), w.ref(id), fmt.Sprintf("u%d", rows+tail-1), 1)
	require.NoError(t, err)
	require.Equal(t, coupon.Holder, verdict)
	require.EqualValues(t, rows+tail, held.Seq)
	w.settle()
	require.EqualValues(t, rows+tail, w.coupon(id).IssuedCount)
}

// realBook is a ledger, with a memory of what one test did to it.
type realBook struct {
	*ledger.Book
	*ledger.Refs
	t      tester
	topic  string
	writer *ledger.Writer

	mu       sync.Mutex
	ids      []int64
	changes  map[int64][]coupon.Change
	outcomes map[int64]map[int64]string
}

func newRealBook(t tester, book *ledger.Book) *realBook {
	topic := fmt.Sprintf("test-%x", rand.Uint64())
	return &realBook{
		Book: book, Refs: ledger.NewRefs(book, 0), t: t, topic: topic,
		writer: ledger.NewWriter(book, ledger.WriterOptions{
			Topic: topic, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		}),
		changes: map[int64][]coupon.Change{}, outcomes: map[int64]map[int64]string{},
	}
}

func (b *realBook) CreateCoupons(ctx context.Context, coupons []coupon.Coupon) []coupon.Created {
	created := b.Book.CreateCoupons(ctx, coupons)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range created {
		if c.Err == nil {
			b.ids = append(b.ids, coupons[i].ID)
		}
	}
	return created
}

func (b *realBook) BeginChange(ctx context.Context, id int64, decide func(coupon.Terms, int64) (coupon.Terms, error),
	reason, by string,
) (coupon.Change, error) {
	c, err := b.Book.BeginChange(ctx, id, decide, reason, by)
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changes[id] = append(b.changes[id], c)
	}
	return c, err
}

func (b *realBook) EndChange(ctx context.Context, c coupon.Change, outcome string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.outcomes[c.CouponID] == nil {
		b.outcomes[c.CouponID] = map[int64]string{}
	}
	b.outcomes[c.CouponID][c.Revision] = outcome
	return b.Book.EndChange(ctx, c, outcome)
}

func (b *realBook) ChangesOf(id int64) []coupon.Change { return b.changes[id] }
func (b *realBook) Outcomes(id int64) map[int64]string { return b.outcomes[id] }
func (b *realBook) IDs() []int64                       { return slices.Clone(b.ids) }

func (b *realBook) Write(partition int32, offset int64, p coupon.Place) {
	record := ledger.Record{Partition: partition, Offset: offset, Place: p}
	require.NoError(b.t, b.writer.Write(context.Background(), []ledger.Record{record}))
}

func (b *realBook) Rows(id int64) (rows []coupon.Place) {
	c, err := b.Coupon(context.Background(), id)
	require.NoError(b.t, err)
	require.NoError(b.t, b.LoadTags(context.Background(), []string{c.Tag()}, func([]coupon.Coupon) error { return nil },
		func(ref coupon.Ref, page []coupon.Place) error {
			if ref.CouponID == id {
				rows = append(rows, page...)
			}
			return nil
		}))
	return rows
}

func (b *realBook) Failures() (failed []fakebook.Failed) {
	events, err := b.FailedEvents(context.Background(), 0, 10_000, "", "")
	require.NoError(b.t, err)
	for _, e := range events {
		if e.Topic == b.topic {
			failed = append(failed, fakebook.Failed{Partition: e.Partition, Offset: e.Offset, Reason: e.Reason})
		}
	}
	return failed
}

// realGate is the scripts on an embedded Redis.
type realGate struct {
	*redisgate.Gate
	server *embedded.Server
}

func newRealGate(t *testing.T) *realGate {
	t.Helper()
	server, err := embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(server.Close)
	config := redisgate.Config{Mode: "single", Addrs: []string{server.Addr()}}
	gate, err := redisgate.Open(t.Context(), config, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, gate.Close()) })
	return &realGate{Gate: gate, server: server}
}

func (g *realGate) Flush(string)         { g.server.Raw().FlushAll() }
func (g *realGate) NewServer()           { g.server.NewIdentity() }
func (g *realGate) Lose(tag, key string) { g.server.Raw().Del("fc:{" + tag + "}:" + key) }
