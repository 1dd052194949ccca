package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

const (
	// batchTimeout bounds one transaction of a batch with its repetitions: two waits for a lock (lockWait) and some room.
	batchTimeout = 25 * time.Second
	// lookTries bounds how often a batch is looked at again because a duplicate appeared after the look: each time
	// another writer has just written the same rows, and has then written them all.
	lookTries = 4
	// lookAhead is how many batches begin with the closer look after one that held duplicates, since they come in showers
	// (a redelivery, a crowd that asks twice). A look costs about an eighth of a hopeful attempt that fails, so that this
	// many looks in vain cost as much as the one attempt that they may save.
	lookAhead = 8
	// schemaEvery is how often a writer looks at the version of the schema, a read of some tenths of a millisecond. What
	// is written within that time after a migration meets tables that this build was not made for: it fails and waits,
	// or does what it did before.
	schemaEvery = 5 * time.Second
)

var (
	errDuplicates = errors.New("a row of the batch is there already")
	errGuard      = errors.New("the counters' guard refused")
)

// WriterOptions are what a writer needs besides the book.
type WriterOptions struct {
	Topic      string // of the journal; with partition and offset it names a record
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Coupons    int // how many coupons to remember; 0: DefaultRefs
}

// Writer books the records of one topic. It may be used by many callers at once, each with partitions of its own.
type Writer struct {
	book    *Book
	topic   string
	log     *slog.Logger
	known   *lru.Cache[int64, booking]
	metrics *writerMetrics

	mu     sync.Mutex
	looks  int       // batches that still begin with a closer look
	schema time.Time // when the schema was last seen to be this build's
}

// NewWriter makes a writer.
func NewWriter(book *Book, o WriterOptions) *Writer {
	if o.Coupons <= 0 {
		o.Coupons = DefaultRefs
	}
	return &Writer{
		book: book, topic: o.Topic, log: o.Log, known: mustLRU[int64, booking](o.Coupons),
		metrics: newWriterMetrics(o.Registerer),
	}
}

// Write books records of one or more partitions, those of each in the order of their offsets (rules 11 to 15). nil: each of them is in the book
// as a row, as a duplicate of one or as a failed event, and the caller may mark them. An error: nothing may be marked, and
// the same records are to be written again; what of them is in the book already does no harm.
func (w *Writer) Write(ctx context.Context, batch []Record) error {
	if len(batch) == 0 {
		return nil
	}
	began := time.Now()
	bookings, err := w.prepared(ctx, batch)
	if err == nil {
		err = w.store(ctx, batch, bookings)
	}
	w.metrics.batch(len(batch), time.Since(began), err)
	if err != nil {
		return fmt.Errorf("write %d records from partition %d, offset %d on: %w", len(batch), batch[0].Partition, batch[0].Offset, named(err))
	}
	return nil
}

// prepared is what a batch needs before its transaction.
func (w *Writer) prepared(ctx context.Context, batch []Record) (map[int64]booking, error) {
	err := w.schemaFits(ctx)
	var bookings map[int64]booking
	if err == nil {
		bookings, err = w.bookings(ctx, batch)
	}
	if err != nil {
		return nil, w.book.noted(err)
	}
	return bookings, nil
}

// schemaFits looks at the schema's version every so often. Into one that this build does not know nothing is written, and
// nothing becomes a failed event because of it.
func (w *Writer) schemaFits(ctx context.Context) error {
	w.mu.Lock()
	known := time.Since(w.schema) < schemaEvery
	w.mu.Unlock()
	if known {
		return nil
	}
	if err := w.book.CheckSchema(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.schema = time.Now()
	return nil
}

// bookings are the coupons of a batch. One that is not there may be published later, so that is never remembered.
func (w *Writer) bookings(ctx context.Context, batch []Record) (map[int64]booking, error) {
	found := make(map[int64]booking)
	var missing []int64
	asked := make(map[int64]bool)
	for i := range batch {
		id := batch[i].Place.CouponID
		if _, ok := found[id]; ok || asked[id] || batch[i].Broken != nil {
			continue
		}
		if b, ok := w.known.Get(id); ok {
			found[id] = b
			continue
		}
		asked[id] = true
		missing = append(missing, id)
	}
	rows, err := w.book.byIDs(ctx, missing)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		b := bookingOf(row.coupon())
		found[row.ID] = b
		w.known.Add(row.ID, b)
	}
	return found, nil
}

// store writes a batch. Where the database refuses the values of some record, halves are written, in order, until that
// record stands alone; its failed event gets a transaction of its own (rule 15).
func (w *Writer) store(ctx context.Context, batch []Record, bookings map[int64]booking) error {
	err := w.storeTogether(ctx, batch, bookings)
	if !refused(err) {
		return err
	}
	if len(batch) == 1 {
		return w.keepRefused(ctx, &batch[0], err)
	}
	half := len(batch) / 2
	if err := w.store(ctx, batch[:half], bookings); err != nil {
		return err
	}
	return w.store(ctx, batch[half:], bookings)
}

// storeTogether writes a batch in one transaction, as hopefully as it can: most batches hold no duplicates and fit.
func (w *Writer) storeTogether(ctx context.Context, batch []Record, bookings map[int64]booking) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	a := attempt{
		book: w.book, topic: w.topic, batch: batch, bookings: bookings, closer: w.looksCloser(),
	}
	var err error
	for range lookTries {
		err = w.book.write(ctx, a.run)
		switch {
		case errors.Is(err, errDuplicates):
			a.closer = true
		case errors.Is(err, errGuard):
			a.closer, a.fit = true, true
		case err == nil:
			crashpoint.At("consume.committed")
			if a.verdicts.booked > 0 {
				w.lookCloser()
			}
			w.report(&a.verdicts)
			return nil
		default:
			return err
		}
	}
	return err
}

// looksCloser says whether a batch begins with a closer look.
func (w *Writer) looksCloser() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = max(w.looks-1, 0)
	return w.looks > 0
}

func (w *Writer) lookCloser() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = lookAhead + 1
}

func (w *Writer) keepRefused(ctx context.Context, r *Record, why error) error {
	// A schema of another version refuses what is good: then it is not the record.
	if err := w.book.CheckSchema(ctx); err != nil {
		return errors.Join(err, why)
	}
	f := failure{record: r, reason: coupon.FailRefusedByDB, text: why.Error()}
	err := w.book.write(ctx, func(tx *gorm.DB) error {
		now, err := w.book.clock(tx)
		if err != nil {
			return err
		}
		return insertFailed(tx, []failedRow{f.row(w.topic, at(now))})
	})
	if err != nil {
		return errors.Join(why, err)
	}
	w.report(&verdicts{failures: []failure{f}})
	return nil
}

// alarms are the reasons that by the protocol never happen (rules 13 and 14).
func alarms(reason coupon.FailReason) bool {
	return reason == coupon.FailFutureEpoch || reason == coupon.FailOverCap || reason == coupon.FailNthTaken
}

// report counts what became of a batch and tells of failures, one line a reason and batch.
func (w *Writer) report(v *verdicts) {
	w.metrics.outcome("issued", len(v.issues))
	w.metrics.outcome("duplicate", v.duplicates)
	first := make(map[coupon.FailReason]failure)
	n := make(map[coupon.FailReason]int)
	for _, f := range v.failures {
		if n[f.reason]++; n[f.reason] == 1 {
			first[f.reason] = f
		}
	}
	for reason, count := range n {
		w.metrics.failed(reason, count)
		level := slog.LevelWarn
		if alarms(reason) {
			level = slog.LevelError
		}
		f := first[reason]
		w.log.Log(context.Background(), level, "records became failed events", "reason", reason, "records", count,
			"partition", f.record.Partition, "first_offset", f.record.Offset, "coupon_id", f.record.Place.CouponID, "why", f.text)
	}
}
