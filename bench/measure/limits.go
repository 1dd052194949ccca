package measure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/bench/crowd"
	"github.com/firstcome/firstcome/bench/limits"
	"github.com/firstcome/firstcome/bench/report"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// limitSize is how many users a limit alone is measured with: some tenths of a second at least.
func (s *Suite) limitSize() int {
	if s.Quick {
		return 40_000
	}
	return 100_000
}

// together is how many callers a limit alone has at the same time.
const together = 256

// refOf is all that a gate has to know of a coupon of the harness.
func refOf(couponID, eventID int64) coupon.Ref {
	ref := coupon.Ref{Tag: coupon.TagOf(couponID, eventID), CouponID: couponID, EventID: eventID, PerUserLimit: 1, Member: eventID != 0}
	if eventID != 0 {
		ref.Siblings = []int64{couponID}
	}
	return ref
}

func names(prefix string, n int) []string {
	plan := crowd.Plan{Prefix: prefix}
	users := make([]string, n)
	for i := range users {
		users[i] = plan.Name(i)
	}
	return users
}

// placesOf are places as the gate would have given them.
func placesOf(couponID int64, users int) []coupon.Place {
	places := make([]coupon.Place, users)
	now := time.Now().UTC().Truncate(time.Microsecond)
	for i, user := range names("b", users) {
		places[i] = coupon.Place{CouponID: couponID, UserID: user, Nth: 1, Seq: int64(i) + 1, Epoch: 1, AcceptedAt: now.Add(time.Duration(i) * time.Microsecond)}
	}
	return places
}

// gateAlone is Redis with the scripts of admission and confirmation, in the desk's batches.
func (s *Suite) gateAlone(ctx context.Context) error {
	return s.gateLimit(ctx, "gate/batched", "Redis alone: admission and confirmation scripts, 128 users a call", s.limitSize(),
		func(gate admission.Gate, ref coupon.Ref, users []string) (time.Duration, error) {
			return limits.Place(ctx, gate, ref, users)
		})
}

// gateOneByOne is Redis with one admission a call.
func (s *Suite) gateOneByOne(ctx context.Context) error {
	return s.gateLimit(ctx, "gate/single", "Redis alone: admission script, one user a call, 256 at a time", s.limitSize()/4,
		func(gate admission.Gate, ref coupon.Ref, users []string) (time.Duration, error) {
			return limits.PlaceOneByOne(ctx, gate, ref, users, together)
		})
}

func (s *Suite) gateLimit(ctx context.Context, name, what string, n int,
	place func(admission.Gate, coupon.Ref, []string) (time.Duration, error),
) (err error) {
	id, err := s.World.Publish(ctx, nil)
	if err != nil {
		return err
	}
	g, err := s.World.Gate(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	users := names("b", n)
	pid, err := s.World.Server("redis")
	if err != nil {
		return err
	}
	meter, err := startMeter(map[string]int{"redis": pid})
	if err != nil {
		return err
	}
	took, err := place(g, refOf(id, 0), users)
	if err != nil {
		return err
	}
	used := map[string]float64{}
	if err = meter.stopInto(used, n); err != nil {
		return err
	}
	holders, err := s.World.Holders(ctx, id)
	if err != nil {
		return err
	}
	if holders != int64(n) {
		return fmt.Errorf("wrong outcome: %d holders of %d users", holders, n)
	}
	s.Report.Add(name, what, perSecond, report.Sample{Value: float64(n) / took.Seconds(), Processor: used})
	return nil
}

// journalAlone is Kafka with the product's records and its way of sending them.
func (s *Suite) journalAlone(ctx context.Context) error {
	n := s.limitSize()
	topic, err := s.World.SpareTopic(ctx)
	if err != nil {
		return err
	}
	j, err := s.journal(topic)
	if err != nil {
		return err
	}
	places := placesOf(coupon.NewID(time.Now()), n)
	pid, err := s.World.Server("kafka")
	if err != nil {
		return err
	}
	// The first record meets a connection that is just being made.
	if _, err = limits.Append(ctx, j, places[:1], 1); err != nil {
		return err
	}
	meter, err := startMeter(map[string]int{"kafka": pid})
	if err != nil {
		return err
	}
	took, err := limits.Append(ctx, j, places, together)
	if err = errors.Join(err, j.Close(ctx)); err != nil {
		return err
	}
	used := map[string]float64{}
	if err = meter.stopInto(used, n); err != nil {
		return err
	}
	s.Report.Add("journal", "Kafka alone: the product's records, acks=all, 256 at a time", perSecond,
		report.Sample{Value: float64(n) / took.Seconds(), Processor: used})
	return nil
}

func (s *Suite) journal(topic string) (*kafkajournal.Journal, error) {
	return kafkajournal.Open(kafkajournal.Config{Brokers: s.World.Brokers, Topic: topic}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// insertConnections is how many transactions run at the same time: more bring nothing (the log's flush is what they wait for).
const insertConnections = 4

// rowsAlone is the database with the product's rows, in the product's own table.
func (s *Suite) rowsAlone(ctx context.Context) error {
	n := s.drainSize()
	id := coupon.NewID(time.Now())
	pid, err := s.World.Server("mysql")
	if err != nil {
		return err
	}
	places := placesOf(id, n)
	meter, err := startMeter(map[string]int{"mysql": pid})
	if err != nil {
		return err
	}
	took, err := limits.Insert(ctx, s.World.DB, places, insertConnections)
	if err != nil {
		return err
	}
	used := map[string]float64{}
	if err = meter.stopInto(used, n); err != nil {
		return err
	}
	rows, err := s.World.Rows(ctx, id)
	if err != nil {
		return err
	}
	if len(rows) != n {
		return fmt.Errorf("wrong outcome: %d rows of %d", len(rows), n)
	}
	s.Report.Add("rows", "the database alone: bulk insert of the product's rows, 1,000 a transaction, 4 at a time", perSecond,
		report.Sample{Value: float64(n) / took.Seconds(), Processor: used})
	return nil
}
