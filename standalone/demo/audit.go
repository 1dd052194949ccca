package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// books are what ledger and journal hold.
type books struct {
	rows    map[claimID]int64 // issued, with its number
	records map[claimID]int64 // in the journal, with the number of the earliest record

	overIssued  int // rows above the coupon's quantity
	doubled     int // rows of one user above the coupon's limit, or above one in an event
	counterOff  int // coupons whose counter is not the number of their rows
	failed      int // failed events
	notFull     int // coupons that somebody was told are sold out, and that have places
	repeatedSeq int // rows with a number that another row of the coupon has
}

// quietWithin is how long the books may take to agree after the last answer: the consumers are milliseconds behind;
// a sweeper that has to journal something needs seconds.
const (
	quietWithin = 30 * time.Second
	quietPause  = 50 * time.Millisecond
)

// auditor reads the books with its own connections and its own words.
type auditor struct {
	db    *sql.DB
	kafka *kgo.Client
	topic string
}

func newAuditor(ledgerPath string, brokers []string, topic string) (*auditor, error) {
	db, err := sql.Open("sqlite", "file:"+ledgerPath+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("audit: %w", err), db.Close())
	}
	return &auditor{db: db, kafka: client, topic: topic}, nil
}

func (a *auditor) close() error {
	a.kafka.Close()
	return a.db.Close()
}

// read reads the journal to its end and then waits until the ledger has caught up with it, or time is over. Which
// coupons were refused as sold out is the only thing that it is told.
func (a *auditor) read(ctx context.Context, soldOut map[int64]bool) (books, error) {
	b := books{}
	if err := a.readJournal(ctx, &b); err != nil {
		return b, fmt.Errorf("audit the journal: %w", err)
	}
	for until := time.Now().Add(quietWithin); ; {
		if err := a.readLedger(ctx, &b, soldOut); err != nil {
			return b, fmt.Errorf("audit the ledger: %w", err)
		}
		if len(b.rows)+b.failed >= len(b.records) || time.Now().After(until) {
			return b, nil
		}
		if err := pause(ctx, quietPause); err != nil {
			return b, err
		}
	}
}

func (a *auditor) readJournal(ctx context.Context, b *books) error {
	ends, err := kadm.NewClient(a.kafka).ListEndOffsets(ctx, a.topic)
	if err != nil {
		return err
	}
	left := map[int32]int64{} // where each partition's reading ends
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil {
			err = end.Err
		} else if end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	})
	b.records = map[claimID]int64{}
	for len(left) > 0 && err == nil {
		fetched := a.kafka.PollFetches(ctx)
		if err = fetched.Err(); err != nil {
			break
		}
		fetched.EachRecord(func(r *kgo.Record) {
			var place receipt // a record has the same fields, and more
			if json.Unmarshal(r.Value, &place) != nil || string(r.Key) != place.UserID {
				err = fmt.Errorf("partition %d, offset %d: %q is no record of ours", r.Partition, r.Offset, r.Value)
			}
			of := claimID{coupon: place.CouponID, user: place.UserID, nth: place.Nth}
			if _, again := b.records[of]; !again {
				b.records[of] = place.Seq
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return err
}

func (a *auditor) readLedger(ctx context.Context, b *books, soldOut map[int64]bool) error {
	if err := a.readIssues(ctx, b); err != nil {
		return err
	}
	if err := a.readCoupons(ctx, b, soldOut); err != nil {
		return err
	}
	var perUser, perEvent int
	err := errors.Join(
		a.db.QueryRowContext(ctx, `SELECT COALESCE(SUM(n - per_user_limit), 0) FROM (SELECT c.per_user_limit,
			COUNT(*) AS n FROM issues i JOIN coupons c ON c.id = i.coupon_id GROUP BY i.coupon_id, i.user_id)
			WHERE n > per_user_limit`).Scan(&perUser),
		a.db.QueryRowContext(ctx, `SELECT COALESCE(SUM(n - 1), 0) FROM (SELECT COUNT(*) AS n FROM issues i
			JOIN coupons c ON c.id = i.coupon_id WHERE c.event_id IS NOT NULL AND c.event_id <> 0
			GROUP BY c.event_id, i.user_id) WHERE n > 1`).Scan(&perEvent),
		a.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM failed_events`).Scan(&b.failed),
	)
	b.doubled = perUser + perEvent
	return err
}

func (a *auditor) readIssues(ctx context.Context, b *books) error {
	type number struct{ coupon, seq int64 }
	given := map[number]bool{}
	b.rows, b.repeatedSeq = map[claimID]int64{}, 0
	return a.each(ctx, `SELECT coupon_id, user_id, nth, seq FROM issues`, func(rows *sql.Rows) error {
		var of claimID
		var seq int64
		if err := rows.Scan(&of.coupon, &of.user, &of.nth, &seq); err != nil {
			return err
		}
		b.rows[of] = seq
		n := number{of.coupon, seq}
		if given[n] {
			b.repeatedSeq++
		}
		given[n] = true
		return nil
	})
}

func (a *auditor) readCoupons(ctx context.Context, b *books, soldOut map[int64]bool) error {
	b.overIssued, b.counterOff, b.notFull = 0, 0, 0
	return a.each(ctx, `SELECT c.id, COALESCE(c.total_quantity, -1), c.issued_count, COUNT(i.user_id) FROM coupons c
		LEFT JOIN issues i ON i.coupon_id = c.id GROUP BY c.id`, func(rows *sql.Rows) error {
		var id, total, counter, have int64
		if err := rows.Scan(&id, &total, &counter, &have); err != nil {
			return err
		}
		if total >= 0 && have > total {
			b.overIssued += int(have - total)
		}
		if counter != have {
			b.counterOff++
		}
		if soldOut[id] && have < total {
			b.notFull++
		}
		return nil
	})
}

func (a *auditor) each(ctx context.Context, query string, scan func(*sql.Rows) error) (err error) {
	rows, err := a.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
