package measure

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
	"github.com/firstcome/firstcome/bench/report"
)

// crowdSize is how many users a round has: some seconds of claims.
func (s *Suite) crowdSize() int {
	if s.Quick {
		return 15_000
	}
	return 40_000
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

// claim has as many users ask as there are places, and waits until all of them are rows.
func (s *Suite) claim(ctx context.Context, connections int) error {
	users := s.crowdSize()
	coupon, err := s.World.Publish(ctx, map[string]any{"total_quantity": users})
	if err != nil {
		return err
	}
	plan := s.claims(coupon, "b", users)
	plan.Connections = connections
	stages, err := s.startStages(ctx)
	if err != nil {
		return err
	}
	front, back, err := s.parts()
	if err != nil {
		return err
	}
	later, err := startMeter(back)
	if err != nil {
		return err
	}
	lag := s.watchLag(ctx)
	o, sample, err := s.load(ctx, front, plan)
	if err != nil {
		return err
	}
	ended := time.Now()
	if err = s.untilIssued(ctx, coupon, int64(users)); err != nil {
		return err
	}
	behind := time.Since(ended).Seconds()
	if err = later.stopInto(sample.Processor, users); err != nil {
		return err
	}
	sample.Notes = map[string]float64{}
	if sample.Stages, err = stages.stop(ctx, sample.Notes); err != nil {
		return err
	}
	most, err := lag()
	if err != nil {
		return err
	}
	if err = s.check(ctx, plan, o, int64(users)); err != nil {
		return err
	}
	s.Report.Add(fmt.Sprintf("claim/%d", connections), fmt.Sprintf("durable claim, %d connections", connections), perSecond, sample)
	s.Report.Add(fmt.Sprintf("persisted/%d", connections), fmt.Sprintf("claims as rows, first request to last row, %d connections", connections),
		perSecond, report.Sample{Value: float64(users) / (o.Seconds + behind), Notes: map[string]float64{
			"records behind at most": most, "ms from the last answer to the last row": behind * 1000,
		}})
	return nil
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
