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

// emptyHandler is the limit that claims are compared with.
func (s *Suite) emptyHandler(ctx context.Context, connections int) error {
	c, err := crowd.Gather(ctx, crowd.Plan{
		Targets: []string{s.empty.Addr}, Connections: connections, Coupon: 1, Secret: s.World.Secret, Prefix: "e", Users: s.crowdSize(),
		Expect: crowd.Any202,
	})
	if err != nil {
		return err
	}
	meter, err := startMeter(map[string]int{"handler": s.empty.PID()})
	if err != nil {
		return err
	}
	o, err := c.Go()
	if err != nil {
		return err
	}
	if err = o.Right(); err != nil {
		return err
	}
	sample := sampleOf(o)
	if sample.Processor, err = meter.stop(o); err != nil {
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
	plan := crowd.Plan{
		Targets: []string{s.api.Addr}, Connections: connections, Coupon: coupon, Secret: s.World.Secret, Prefix: "b",
		Users: users, Expect: crowd.Receipt,
	}
	c, err := crowd.Gather(ctx, plan)
	if err != nil {
		return err
	}
	stages, err := s.startStages(ctx)
	if err != nil {
		return err
	}
	front, back, err := s.meters()
	if err != nil {
		return err
	}
	lag := s.watchLag(ctx)
	began := time.Now()
	o, err := c.Go()
	if err != nil {
		return err
	}
	sample := sampleOf(o)
	if sample.Processor, err = front.stop(o); err != nil {
		return err
	}
	if err = s.untilIssued(ctx, coupon, int64(users)); err != nil {
		return err
	}
	persisted := time.Since(began)
	behind := persisted.Seconds() - o.Seconds
	if err = back.stopInto(sample.Processor, o); err != nil {
		return err
	}
	if sample.Stages, err = stages.stop(ctx); err != nil {
		return err
	}
	sample.Notes = map[string]float64{}
	stages.batches(sample.Notes)
	if err = s.check(ctx, plan, o, int64(users)); err != nil {
		return err
	}
	s.Report.Add(fmt.Sprintf("claim/%d", connections), fmt.Sprintf("durable claim, %d connections", connections), perSecond, sample)
	most, err := lag()
	if err != nil {
		return err
	}
	s.Report.Add(fmt.Sprintf("persisted/%d", connections), fmt.Sprintf("claims as rows, first request to last row, %d connections", connections),
		perSecond, report.Sample{Value: float64(users) / persisted.Seconds(), Notes: map[string]float64{
			"records behind at most": most, "ms from the last answer to the last row": behind * 1000,
		}})
	return nil
}

func sampleOf(o crowd.Outcome) report.Sample {
	latencies := map[string]float64{}
	for _, l := range o.Latencies {
		latencies[strconv.FormatFloat(l.Q, 'f', -1, 64)] = l.MS
	}
	return report.Sample{Value: o.PerSecond, Latencies: latencies}
}
