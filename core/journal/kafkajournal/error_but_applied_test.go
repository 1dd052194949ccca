package kafkajournal_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firstcome/firstcome/core/coupon"
)

// A broker that has written a batch and answers with an error makes the client send it again. Without the idempotent
// producer the log then has records twice.
func TestARepeatedBatchIsInTheLogOnce(t *testing.T) {
	t.Parallel()
	// A full disk shows as KAFKA_STORAGE_ERROR, two of three brokers gone as NOT_ENOUGH_REPLICAS; both pass.
	for _, answer := range []*kerr.Error{
		kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError, kerr.NotEnoughReplicas, kerr.CorruptMessage,
	} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			cfg := made(t, cluster.ListenAddrs(), 1)
			j := opened(t, cfg)
			require.NoError(t, j.Append(within(t, 5*time.Second), place(1)))
			faults := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: answer, Count: 3})
			want := []coupon.Place{place(1)}
			errs := make([]error, 50)
			var wg sync.WaitGroup
			for n := range errs {
				want = append(want, place(n+2))
				wg.Go(func() { errs[n] = j.Append(within(t, 10*time.Second), place(n+2)) })
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			assert.Equal(t, 3, faults.Hits())
			assert.ElementsMatch(t, want, all(t, reading(t, cfg)))
		})
	}
}

// What the broker refuses for good is an error at once, and the next record is none the worse for it.
func TestARefusedRecordDoesNotHurtTheNext(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	cfg := made(t, cluster.ListenAddrs(), 1)
	j := opened(t, cfg)
	require.NoError(t, j.Append(within(t, 5*time.Second), place(1)))
	want := []coupon.Place{place(1)}
	for n, answer := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.MessageTooLarge, kerr.InvalidRecord} {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: answer})
		require.Error(t, j.Append(within(t, 5*time.Second), place(2*n+2)), answer.Message)
		require.NoError(t, j.Append(within(t, 5*time.Second), place(2*n+3)), answer.Message)
		want = append(want, place(2*n+3))
	}
	assert.Equal(t, want, all(t, reading(t, cfg)))
}
