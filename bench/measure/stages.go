package measure

import (
	"context"
	"time"

	"github.com/firstcome/firstcome/bench/world"
)

// stages are what the roles say of themselves between two looks.
type stages struct {
	suite             *Suite
	api0, api1        world.Metrics
	consumer0, after1 world.Metrics
}

func (s *Suite) startStages(ctx context.Context) (_ *stages, err error) {
	st := &stages{suite: s}
	if st.api0, err = s.api.Metrics(ctx); err != nil {
		return nil, err
	}
	st.consumer0, err = s.consumer.Metrics(ctx)
	return st, err
}

// stop is the mean time in each stage in milliseconds: of a claim, and of a consumer's batch.
func (st *stages) stop(ctx context.Context) (map[string]float64, error) {
	var err error
	if st.api1, err = st.suite.api.Metrics(ctx); err != nil {
		return nil, err
	}
	if st.after1, err = st.suite.consumer.Metrics(ctx); err != nil {
		return nil, err
	}
	api := func(name string, labels ...string) float64 {
		return 1000 * world.Mean(st.api0, st.api1, name, labels...)
	}
	return map[string]float64{
		"the whole request":               api("firstcome_api_request_seconds", "/issues"),
		"one admission by Redis":          api("firstcome_admission_gate_seconds", `"admit"`),
		"journal, with waiting":           api("firstcome_admission_journal_seconds"),
		"one confirmation by Redis":       api("firstcome_admission_gate_seconds", `"confirm"`),
		"one transaction of the consumer": 1000 * world.Mean(st.consumer0, st.after1, "firstcome_ledger_batch_seconds"),
	}, nil
}

// batches notes how many went together.
func (st *stages) batches(notes map[string]float64) {
	notes["claims an admission"] = world.Mean(st.api0, st.api1, "firstcome_admission_batch_size", `"admit"`)
	notes["places a confirmation"] = world.Mean(st.api0, st.api1, "firstcome_admission_batch_size", `"confirm"`)
	notes["records a transaction"] = world.Mean(st.consumer0, st.after1, "firstcome_ledger_batch_records")
}

// lagEvery is how often the consumer is asked how far behind it is.
const lagEvery = 250 * time.Millisecond

// watchLag asks the consumer until the returned function is called, which says how many records it was behind at most.
func (s *Suite) watchLag(ctx context.Context) func() (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	var most float64
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(lagEvery):
			}
			m, err := s.consumer.Metrics(ctx)
			if err != nil {
				if ctx.Err() == nil {
					failed = err
				}
				return
			}
			most = max(most, m.Sum("firstcome_consumer_lag_records"))
		}
	}()
	return func() (float64, error) {
		cancel()
		<-done
		return most, failed
	}
}
