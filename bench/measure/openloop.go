package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
	"github.com/firstcome/firstcome/bench/report"
)

// openFor is how long requests arrive at a constant rate.
func (s *Suite) openFor() time.Duration {
	if s.Quick {
		return 5 * time.Second
	}
	return 15 * time.Second
}

// openRounds of the open loop.
func (s *Suite) openRounds() int { return min(s.Rounds, 3) }

// half is half of the greatest rate of claims that was measured while their rows were written.
func (s *Suite) half(ctx context.Context) (float64, error) {
	most := func() (most float64) {
		for _, n := range connectionCounts() {
			if f := s.Report.Figure(fmt.Sprintf("persisted/%d", n)); f != nil {
				most = max(most, report.Median(f.Values()))
			}
		}
		return most
	}
	if most() == 0 {
		if err := s.persisted(ctx, together); err != nil {
			return 0, err
		}
	}
	return most() / 2, nil
}

// openLoop measures latencies at half of the maximum, counted from when a request was due, and how long an accepted claim waits for its row.
func (s *Suite) openLoop(ctx context.Context) error {
	pids, err := s.parts("api", "redis", "kafka", "consumer", "mysql")
	if err != nil {
		return err
	}
	for range s.openRounds() {
		plan, o, sample, err := s.atHalf(ctx, []string{s.api.Addr}, func(plan crowd.Plan) (crowd.Outcome, report.Sample, error) {
			return s.load(ctx, pids, plan)
		})
		if err != nil {
			return err
		}
		delays, err := s.World.Delays(ctx, plan.Coupon)
		if err != nil {
			return err
		}
		at := func(q float64) float64 { return delays[int(q*float64(len(delays)-1))] }
		sample.Notes = map[string]float64{"sent more than 5 ms late": float64(o.Late), "due a second": plan.Rate}
		s.Report.Add("open", "durable claims at half of the maximum, a constant rate", perSecond, sample)
		s.Report.Add("open/p99", "p99 at half of the maximum", "ms", report.Sample{Value: o.Quantile(99)})
		s.Report.Add("open/p99.9", "p99.9 at half of the maximum", "ms", report.Sample{Value: o.Quantile(99.9)})
		s.Report.Add("issued/p50", "accepted to issued at half of the maximum, p50", "ms", report.Sample{Value: at(0.5)})
		s.Report.Add("issued/p99", "accepted to issued at half of the maximum, p99", "ms", report.Sample{Value: at(0.99)})
	}
	return nil
}

// openAlone is the same rate while no rows are written: what the claims themselves make of it. One round, to be compared with
// openLoop's.
func (s *Suite) openAlone(ctx context.Context) error {
	_, o, _, err := s.atHalf(ctx, []string{s.api.Addr}, func(plan crowd.Plan) (crowd.Outcome, report.Sample, error) {
		return s.loadUnwritten(ctx, nil, plan)
	})
	if err != nil {
		return err
	}
	s.Report.Add("open/alone/p99", "p99 at the same rate, rows written afterwards", "ms", report.Sample{Value: o.Quantile(99)})
	s.Report.Add("open/alone/p99.9", "p99.9 at the same rate, rows written afterwards", "ms", report.Sample{Value: o.Quantile(99.9)})
	return nil
}

// send has a crowd ask.
type send func(crowd.Plan) (crowd.Outcome, report.Sample, error)

// atHalf has users ask at half of the maximum, and checks what became of it.
func (s *Suite) atHalf(ctx context.Context, apis []string, send send) (plan crowd.Plan, o crowd.Outcome, sample report.Sample, err error) {
	rate, err := s.half(ctx)
	if err != nil {
		return plan, o, sample, err
	}
	users := min(int(rate*s.openFor().Seconds()), crowd.MaxUsers)
	id, err := s.World.Publish(ctx, map[string]any{"total_quantity": users})
	if err != nil {
		return plan, o, sample, err
	}
	plan = s.claims(id, "o", users)
	plan.Targets, plan.Rate = apis, rate
	if o, sample, err = send(plan); err != nil {
		return plan, o, sample, err
	}
	if err = s.untilIssued(ctx, id, int64(users)); err != nil {
		return plan, o, sample, err
	}
	return plan, o, sample, s.check(ctx, plan, o, int64(users))
}

// unfairAfter is by how much who asks first must be earlier to be sure of the smaller number.
const unfairAfter = 50 * time.Millisecond

// fairness has two apis serve at half of the maximum, and compares the order of the numbers with that of the asking.
func (s *Suite) fairness(ctx context.Context) (err error) {
	second, err := s.World.Start(ctx, "api")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, second.Stop(ctx)) }()
	for range s.openRounds() {
		_, o, _, err := s.atHalf(ctx, []string{s.api.Addr, second.Addr}, func(plan crowd.Plan) (crowd.Outcome, report.Sample, error) {
			return s.load(ctx, nil, plan)
		})
		if err != nil {
			return err
		}
		count, largest := inversions(o.Sent, o.Seqs, unfairAfter)
		s.Report.Add("fairness", "users overtaken by somebody who asked more than 50 ms later, two apis", "users", report.Sample{
			Value: float64(count), Notes: map[string]float64{"users": float64(len(o.Seqs))},
		})
		s.Report.Add("fairness/largest", "how much later the latest asked who overtook somebody, two apis", "ms",
			report.Sample{Value: float64(largest.Microseconds()) / 1000})
	}
	return nil
}

// inversions counts users who have a greater number than somebody who asked later by more than apart, and says by how much
// later anybody asked who has the smaller number of two. sent is in microseconds.
func inversions(sent []uint32, seqs []int64, apart time.Duration) (count int, largest time.Duration) {
	order := make([]int, len(sent))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(int64(sent[a]) - int64(sent[b])) })
	// From behind: the least number of all who asked at that time or later.
	least := make([]int64, len(order)+1)
	least[len(order)] = 1<<63 - 1
	for at := len(order) - 1; at >= 0; at-- {
		least[at] = min(least[at+1], seqs[order[at]])
	}
	at := func(i int) time.Duration { return time.Duration(sent[order[i]]) * time.Microsecond }
	for i := range order {
		seq := seqs[order[i]]
		// least rises with the position: the last with a smaller number is just before the first that has none behind it.
		end, _ := slices.BinarySearchFunc(least[i+1:], seq, func(least, seq int64) int {
			if least < seq {
				return -1
			}
			return 1
		})
		if end == 0 {
			continue
		}
		later := at(i+end) - at(i)
		largest = max(largest, later)
		if later > apart {
			count++
		}
	}
	return count, largest
}
