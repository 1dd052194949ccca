package kafkajournal

import "context"

// await runs what knows no context. When ctx ends first it is left behind; every call of Sarama ends by itself within
// its network timeouts, so that no goroutine stays.
func await[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.value, o.err = call()
		done <- o
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
