package measure

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
	"github.com/firstcome/firstcome/bench/limits"
	"github.com/firstcome/firstcome/bench/report"
)

// crowdSize is how many users a round has: some seconds of claims.
func (s *Suite) crowdSize() int {
	if s.Quick {
		return 15_000
	}
	return 30_000
}

const perSecond = "a second"

// emptyRounds is how many crowds ask the empty handler, so that it is measured for about as long as the claims are.
const emptyRounds = 4

// emptyHandler is the limit that claims are compared with.
func (s *Suite) emptyHandler(ctx context.Context, connections int) error {
	pids := map[string]int{"handler": s.empty.PID()}
	_, sample, err := s.load(ctx, pids, crowd.Plan{
		Targets: []string{s.empty.Addr}, Connections: connections, Coupon: 1, Prefix: "e", Users: emptyRounds * s.crowdSize(), Expect: crowd.Any202,
	})
	if err != nil {
		return err
	}
	s.Report.Add(fmt.Sprintf("empty/%d", connections), fmt.Sprintf("empty gin handler, %d connections", connections), perSecond, sample)
	return nil
}

// emptyRefusal is the limit of refusals: what their bytes take alone.
func (s *Suite) emptyRefusal(ctx context.Context) error {
	pids := map[string]int{"handler": s.empty.PID()}
	_, sample, err := s.load(ctx, pids, crowd.Plan{
		Targets: []string{s.empty.Addr}, Connections: together, Coupon: limits.RefusingCoupon, Prefix: "e", Users: emptyRounds * s.crowdSize(),
		Expect: crowd.SoldOut,
	})
	if err != nil {
		return err
	}
	s.Report.Add("empty/refusal", "empty gin handler that answers a refusal's bytes, 256 connections", perSecond, sample)
	return nil
}

// claim has as many users ask as there are places, while no consumer runs: what an answer costs that the journal and the
// gate stand behind. The rows are written afterwards.
func (s *Suite) claim(ctx context.Context, connections int) error {
	plan, err := s.sale(ctx, connections)
	if err != nil {
		return err
	}
	stages, err := s.startStages(ctx, s.api)
	if err != nil {
		return err
	}
	pids, err := s.parts("api", "redis", "kafka")
	if err != nil {
		return err
	}
	o, sample, err := s.loadUnwritten(ctx, pids, plan)
	if err != nil {
		return err
	}
	if sample.Notes, err = stages.stop(ctx, &sample); err != nil {
		return err
	}
	if err = s.untilIssued(ctx, plan.Coupon, int64(plan.Users)); err != nil {
		return err
	}
	if err = s.check(ctx, plan, o, int64(plan.Users)); err != nil {
		return err
	}
	s.Report.Add(fmt.Sprintf("claim/%d", connections), fmt.Sprintf("durable claim, %d connections, rows written afterwards", connections), perSecond, sample)
	return nil
}

// loadUnwritten is load while no consumer runs.
func (s *Suite) loadUnwritten(ctx context.Context, pids map[string]int, plan crowd.Plan) (crowd.Outcome, report.Sample, error) {
	if err := s.consumer.Stop(ctx); err != nil {
		return crowd.Outcome{}, report.Sample{}, err
	}
	o, sample, failed := s.load(ctx, pids, plan)
	consumer, err := s.World.Start(ctx, "consumer")
	if err == nil {
		s.consumer = consumer
	}
	return o, sample, errors.Join(failed, err)
}

// persisted has them ask while a consumer runs, and counts from the first request to the last row.
func (s *Suite) persisted(ctx context.Context, connections int) error {
	plan, err := s.sale(ctx, connections)
	if err != nil {
		return err
	}
	stages, err := s.startStages(ctx, s.api, s.consumer)
	if err != nil {
		return err
	}
	front, err := s.parts("api", "redis")
	if err != nil {
		return err
	}
	back, err := s.parts("kafka", "consumer", "mysql")
	if err != nil {
		return err
	}
	untilRows, err := startMeter(back)
	if err != nil {
		return err
	}
	lag := s.watchLag(ctx, plan.Coupon)
	o, sample, err := s.load(ctx, front, plan)
	if err != nil {
		return err
	}
	ended := time.Now()
	if err = s.untilIssued(ctx, plan.Coupon, int64(plan.Users)); err != nil {
		return err
	}
	behind := time.Since(ended).Seconds()
	if err = untilRows.stopInto(sample.Processor, plan.Users); err != nil {
		return err
	}
	if sample.Notes, err = stages.stop(ctx, &sample); err != nil {
		return err
	}
	if sample.Notes["records behind at most"], err = lag(); err != nil {
		return err
	}
	sample.Notes["ms from the last answer to the last row"] = behind * 1000
	sample.Value = float64(plan.Users) / (o.Seconds + behind)
	if err = s.check(ctx, plan, o, int64(plan.Users)); err != nil {
		return err
	}
	s.Report.Add(fmt.Sprintf("persisted/%d", connections),
		fmt.Sprintf("durable claim with its row, %d connections, first request to last row", connections), perSecond, sample)
	return nil
}

// sale is a coupon with as many places as users ask.
func (s *Suite) sale(ctx context.Context, connections int) (crowd.Plan, error) {
	coupon, err := s.World.Publish(ctx, map[string]any{"total_quantity": s.crowdSize()})
	plan := s.claims(coupon, "b", s.crowdSize())
	plan.Connections = connections
	return plan, err
}

// claims are of users who have none of the coupon yet, as fast as 256 connections can.
func (s *Suite) claims(coupon int64, prefix string, users int) crowd.Plan {
	return crowd.Plan{
		Targets: []string{s.api.Addr}, Connections: together, Coupon: coupon, Prefix: prefix, Users: users, Expect: crowd.Receipt,
	}
}

// load has a crowd ask, sees to it that everybody heard the right answer, and counts what these processes used meanwhile.
func (s *Suite) load(ctx context.Context, pids map[string]int, plan crowd.Plan) (crowd.Outcome, report.Sample, error) {
	plan.Secret = s.World.Secret
	c, err := crowd.Gather(ctx, plan)
	if err != nil {
		return crowd.Outcome{}, report.Sample{}, err
	}
	meter, err := startMeter(pids)
	if err != nil {
		return crowd.Outcome{}, report.Sample{}, err
	}
	o, err := c.Go()
	if err != nil {
		return o, report.Sample{}, err
	}
	sample := report.Sample{Value: o.PerSecond, Latencies: map[string]float64{}}
	for _, l := range o.Latencies {
		sample.Latencies[strconv.FormatFloat(l.Q, 'f', -1, 64)] = l.MS
	}
	sample.Processor = map[string]float64{"generator": o.Processor * 1e6 / float64(o.Answered)}
	if err = meter.stopInto(sample.Processor, o.Answered); err != nil {
		return o, sample, err
	}
	return o, sample, o.Right()
}
