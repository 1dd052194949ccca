package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/e2e/stack"
)

// plantedSale is a sale into which somebody who can write to the topic plants records.
type plantedSale struct {
	coupon  int64
	places  int
	planted int // records of users who never claimed
	prefix  string
}

func (p plantedSale) buyer(n int) string    { return fmt.Sprintf("buyer-%s-%d", p.prefix, n) }
func (p plantedSale) stranger(n int) string { return fmt.Sprintf("planted-%s-%d", p.prefix, n) }

// plant writes the records of the strangers from i to j, on all partitions.
func (p plantedSale) plant(t *testing.T, s *stack.Stack, kafka *kgo.Client, i, j int) {
	const partitions = 12
	var records []*kgo.Record
	for n := i; n < j; n++ {
		records = append(records, &kgo.Record{
			Topic: s.Topic, Partition: int32(n % partitions), Key: []byte(p.stranger(n)),
			Value: fmt.Appendf(nil, `{"v":1,"coupon_id":%d,"user_id":%q,"nth":1,"seq":%d,"epoch":1,"accepted_at":%q}`,
				p.coupon, p.stranger(n), 1000+n, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")),
		})
	}
	if err := kafka.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Error(err)
	}
}

// run has the buyers claim while records are planted. Some of those were there before anybody claimed.
func (p plantedSale) run(t *testing.T, s *stack.Stack, kafka *kgo.Client, all *sync.WaitGroup) {
	t.Helper()
	const early = 4
	p.plant(t, s, kafka, 0, early)
	stack.Eventually(t, drainWithin, func() bool {
		return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", p.coupon) == early
	}, "they took places that no gate gave")
	all.Go(func() { p.plant(t, s, kafka, early, p.planted) })
	for n := range p.places {
		all.Go(func() {
			for began := time.Now(); ; <-time.After(50 * time.Millisecond) {
				a, err := s.Claim(t.Context(), n, p.coupon, p.buyer(n))
				if err == nil && a.Accepted() {
					return
				}
				if err == nil && a.Status != http.StatusServiceUnavailable || time.Since(began) > drainWithin {
					t.Errorf("%s, for whom there is a place: %d %s %v", p.buyer(n), a.Status, a.Body, err)
					return
				}
			}
		})
	}
}

// usersOf are those that a query over one coupon names, in order.
func usersOf(t *testing.T, s *stack.Stack, query string, args ...any) (list []string) {
	t.Helper()
	rows, err := s.SQL.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // read to its end
	for rows.Next() {
		var user string
		require.NoError(t, rows.Scan(&user))
		list = append(list, user)
	}
	require.NoError(t, rows.Err())
	slices.Sort(list)
	return list
}

// settled waits until the coupon is full and every record of it is a row or a failed event that says over_cap, and looks
// all the while that it is never more than full.
func (p plantedSale) settled(t *testing.T, s *stack.Stack) (written []string) {
	t.Helper()
	const of = "SELECT user_id FROM issues WHERE coupon_id = ?"
	stack.Eventually(t, 2*drainWithin, func() bool {
		written = usersOf(t, s, of, p.coupon)
		if len(written) > p.places {
			return true // it is told below
		}
		refused := usersOf(t, s, "SELECT DISTINCT user_id FROM failed_events WHERE coupon_id = ? AND reason = 'over_cap'", p.coupon)
		return len(written) == p.places && len(written)+len(refused) == p.places+p.planted
	}, "coupon %d is full, and every record is a row or a failed event", p.coupon)
	require.LessOrEqual(t, len(written), p.places, "over-issued")
	require.EqualValues(t, p.places, s.Count(t, "SELECT issued_count FROM coupons WHERE id = ?", p.coupon))
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events WHERE coupon_id = ? AND (reason <> 'over_cap' OR error = '')", p.coupon),
		"each with its reason, and a word on it")
	return written
}

// Whoever can write to the topic plants well-formed records of users who never claimed, eight for each place, while
// several coupons are on sale and several consumers write: no coupon has ever more rows than places, what does not fit is
// a failed event with its reason, and the auditor names every row that was planted, whom it displaced, and the rest.
func TestPlantedRecordsInTheMiddleOfASaleNeverExceedTheCap(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{Consumers: 3, Env: []string{"FIRSTCOME_BATCH_RETRY_EVERY=200ms"}}, func(t *testing.T, s *stack.Stack) {
		kafka, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		require.NoError(t, err)
		defer kafka.Close()
		sales := make([]plantedSale, 3)
		for i := range sales {
			sales[i] = plantedSale{places: 15, planted: 120, prefix: fmt.Sprint(i)}
			sales[i].coupon = s.Coupon(t, map[string]any{"total_quantity": sales[i].places})
		}
		var all sync.WaitGroup
		for _, p := range sales {
			p.run(t, s, kafka, &all)
		}
		all.Wait()

		var displaced, strangers, refused []string
		for _, p := range sales {
			written := p.settled(t, s)
			for n := range p.places {
				if !slices.Contains(written, p.buyer(n)) {
					displaced = append(displaced, p.buyer(n))
				}
			}
			for n := range p.planted {
				if slices.Contains(written, p.stranger(n)) {
					strangers = append(strangers, p.stranger(n))
				} else {
					refused = append(refused, p.stranger(n))
				}
			}
		}
		require.Len(t, displaced, len(strangers), "a place for a place")
		require.NotEmpty(t, displaced)

		audit := s.Verify(t, "3s")
		require.ElementsMatch(t, displaced, audit.Users("displaced"), "whom they displaced")
		require.ElementsMatch(t, strangers, audit.Users("gate_drift"), "who has a row that no gate gave")
		require.ElementsMatch(t, refused, audit.Users("planted_record"), "who was refused and had no place")
		require.Len(t, audit.Findings, len(displaced)+len(strangers)+len(refused), "and nothing else")
		for _, f := range audit.Findings {
			if f.Type == "displaced" {
				require.Contains(t, f.Evidence, "; places were taken by planted-", "and by whom")
			}
		}
		sales[0].staysRefused(t, s, strangers)
	})
}

// staysRefused takes a planted record that did not fit through all its retries, then through an admin's: the coupon is
// full, so it is refused each time, with the reason; its user is told so.
func (p plantedSale) staysRefused(t *testing.T, s *stack.Stack, strangers []string) {
	t.Helper()
	const attempts = 8 // then a person has to decide
	var user string
	for n := range p.planted {
		if user = p.stranger(n); !slices.Contains(strangers, user) {
			break
		}
	}
	id := s.Count(t, "SELECT id FROM failed_events WHERE coupon_id = ? AND user_id = ?", p.coupon, user)
	mine := func() {
		t.Helper()
		told := s.Must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/v1/coupons/%d/issues/me", p.coupon), s.Token(user, false), nil).JSON(t)
		require.Equal(t, "rejected", told["status"])
		require.Equal(t, "over_cap", told["reason"])
	}
	is := func(status string, least int64) bool {
		return s.Count(t, "SELECT COUNT(*) FROM failed_events WHERE id = ? AND status = ? AND attempts >= ? AND error LIKE '%the gate refuses: sold_out%'",
			id, status, least) == 1
	}
	mine()
	for done := int64(0); done < attempts; {
		// Its pause is over: 10 s, 20 s, 40 s … an hour are not waited for here.
		_, err := s.SQL.ExecContext(t.Context(), "UPDATE failed_events SET next_attempt_at = created_at WHERE id = ? AND status = 'waiting'", id)
		require.NoError(t, err)
		status := "waiting"
		if done == attempts-1 {
			status = "quarantined"
		}
		stack.Eventually(t, drainWithin, func() bool { return is(status, done+1) }, "attempt %d is refused by the gate", done+1)
		done = s.Count(t, "SELECT attempts FROM failed_events WHERE id = ?", id)
	}
	require.True(t, is("quarantined", attempts), "after its last attempt")
	mine()

	root := s.Token("root", true)
	s.Must(t, http.StatusAccepted, http.MethodPost, fmt.Sprintf("/v1/admin/failed-events/%d/retry", id), root, nil)
	stack.Eventually(t, drainWithin, func() bool { return is("waiting", 1) }, "an admin has it tried again, and it is refused again")
	mine()
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ? AND user_id = ?", p.coupon, user))
	require.EqualValues(t, p.places, s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", p.coupon))
}
