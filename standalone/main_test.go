package standalone_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A stopped stack leaves nothing running but what Sarama does: its metrics library keeps one ticker for the whole
// process, and an open circuit breaker sleeps for 10 s, also when its producer is closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"))
}
