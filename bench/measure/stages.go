package measure

import (
	"context"
	"time"

	"github.com/firstcome/firstcome/bench/world"
)

// stages are what the roles said of themselves before a load.
type stages struct {
	suite         *Suite
	api, consumer world.Metrics
}

func (s *Suite) startStages(ctx context.Context) (_ *stages, err error) {
	st := &stages{suite: s}
	if st.api, err = s.api.Metrics(ctx); err != nil {
		return nil, err
	}
	st.consumer, err = s.consumer.Metrics(ctx)
	return st, err
}

// stop is the mean time in each stage since then, in milliseconds, of a claim and of a consumer's batch. How many went
// together is noted.
func (st *stages) stop(ctx context.Context, notes map[string]float64) (map[string]float64, error) {
	api, err := st.suite.api.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	consumer, err := st.suite.consumer.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	ms := func(name string, labels ...string) float64 { return 1000 * world.Mean(st.api, api, name, labels...) }
	notes["claims an admission"] = world.Mean(st.api, api, "firstcome_admission_batch_size", `"admit"`)
	notes["places a confirmation"] = world.Mean(st.api, api, "firstcome_admission_batch_size", `"confirm"`)
	notes["records a transaction"] = world.Mean(st.consumer, consumer, "firstcome_ledger_batch_records")
	return map[string]float64{
		"the whole request":         ms("firstcome_api_request_seconds", "/issues"),
		"one admission by Redis":    ms("firstcome_admission_gate_seconds", `"admit"`),
		"journal":                   ms("firstcome_admission_journal_seconds"),
		"one confirmation by Redis": ms("firstcome_admission_gate_seconds", `"confirm"`),
		"one transaction":           1000 * world.Mean(st.consumer, consumer, "firstcome_ledger_batch_seconds"),
	}, nil
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
