package measure

import (
	"context"
	"errors"
	"time"

	"github.com/firstcome/firstcome/bench/report"
	"github.com/firstcome/firstcome/bench/world"
)

// stages are what the roles said of themselves before a load.
type stages struct {
	roles  []*world.Role
	before []world.Metrics
}

func (s *Suite) startStages(ctx context.Context, roles ...*world.Role) (*stages, error) {
	st := &stages{roles: roles}
	for _, role := range roles {
		m, err := role.Metrics(ctx)
		if err != nil {
			return nil, err
		}
		st.before = append(st.before, m)
	}
	return st, nil
}

// stop gives the sample the mean time in each stage since then, in milliseconds, of a claim and of a consumer's batch, and
// notes how many went together.
func (st *stages) stop(ctx context.Context, sample *report.Sample) (notes map[string]float64, err error) {
	sample.Stages, notes = map[string]float64{}, map[string]float64{}
	for i, role := range st.roles {
		now, err := role.Metrics(ctx)
		if err != nil {
			return nil, err
		}
		mean := func(into map[string]float64, what string, unit float64, name string, labels ...string) {
			if value := world.Mean(st.before[i], now, name, labels...); value > 0 {
				into[what] = value * unit
			}
		}
		const ms = 1000
		mean(sample.Stages, "the whole request", ms, "firstcome_api_request_seconds", "/issues")
		mean(sample.Stages, "one admission by Redis", ms, "firstcome_admission_gate_seconds", `"admit"`)
		mean(sample.Stages, "journal", ms, "firstcome_admission_journal_seconds")
		mean(sample.Stages, "one confirmation by Redis", ms, "firstcome_admission_gate_seconds", `"confirm"`)
		mean(sample.Stages, "one transaction", ms, "firstcome_ledger_batch_seconds")
		mean(notes, "claims an admission", 1, "firstcome_admission_batch_size", `"admit"`)
		mean(notes, "places a confirmation", 1, "firstcome_admission_batch_size", `"confirm"`)
		mean(notes, "records a transaction", 1, "firstcome_ledger_batch_records")
	}
	return notes, nil
}

// lagEvery is how often it is looked how far the rows are behind.
const lagEvery = 100 * time.Millisecond

// watchLag looks until the returned function is called, which says by how many records the rows of a coupon were behind
// those that the journal has acknowledged to the api, at most.
func (s *Suite) watchLag(ctx context.Context, coupon int64) func() (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	var most float64
	done := make(chan error, 1)
	go func() {
		began, err := s.acknowledged(ctx)
		for err == nil {
			var rows int64
			var records float64
			// In this order, so that what comes between the two looks makes the lag greater, not smaller.
			if rows, err = s.World.Issued(ctx, coupon); err == nil {
				records, err = s.acknowledged(ctx)
				most = max(most, records-began-float64(rows))
			}
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-time.After(lagEvery):
			}
		}
		done <- err
	}()
	return func() (float64, error) {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return 0, err
		}
		return most, nil
	}
}

// acknowledged is how many records the journal has acknowledged to the api.
func (s *Suite) acknowledged(ctx context.Context) (float64, error) {
	m, err := s.api.Metrics(ctx)
	return m.Sum("firstcome_journal_records_total", `"acked"`), err
}
