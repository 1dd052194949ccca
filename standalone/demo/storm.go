package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

// atOnce is how many users have a request under way at the same moment.
const atOnce = 256

// A user who is told to repeat, or hears nothing, repeats: so often, with so long a pause.
const (
	maxRepeats  = 20
	repeatPause = 250 * time.Millisecond
)

// claimID names one claim as the books do.
type claimID struct {
	coupon int64
	user   string
	nth    int
}

// storm is a crowd at the api, and what it was told.
type storm struct {
	client *client
	crowd  crowd.Crowd
	ids    published
	token  func(userID string) (string, error)
	asked  func() // a user is done

	mu       sync.Mutex
	answers  map[string]int // by code, every answer counted
	promises map[claimID]int64
	keys     map[claimID]string // the Idempotency-Key that each promise answered: with a limit above 1 it names the claim
	soldOut  map[int64]bool     // coupons that somebody was told are sold out
	changed  int                // receipts that differ from the first one of the same claim
	wrong    []string           // answers that the crowd must not get
	silent   []string           // claims without a definite answer after all repeats
	latency  *hdrhistogram.Histogram
	first    time.Time // of the first promise
}

func newStorm(c *client, all crowd.Crowd, ids published, token func(string) (string, error), asked func()) *storm {
	return &storm{
		client: c, crowd: all, ids: ids, token: token, asked: asked,
		answers: map[string]int{}, promises: map[claimID]int64{}, keys: map[claimID]string{}, soldOut: map[int64]bool{},
		latency: hdrhistogram.New(1, requestTimeout.Microseconds(), 3),
	}
}

// run sends everybody and returns when each has an answer, or the context ends.
func (s *storm) run(ctx context.Context) error {
	users := make(chan crowd.User)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for u := range users {
				s.serve(ctx, u)
				s.asked()
			}
		})
	}
	defer workers.Wait()
	defer close(users)
	for _, u := range s.crowd.Users {
		select {
		case users <- u:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *storm) serve(ctx context.Context, u crowd.User) {
	token, err := s.token(u.ID)
	if err != nil {
		s.note(func() { s.wrong = append(s.wrong, fmt.Sprintf("%s has no token: %v", u.ID, err)) })
		return
	}
	for _, ask := range u.Asks {
		if !ask.Twice {
			s.claim(ctx, u.ID, token, ask)
			continue
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { s.claim(ctx, u.ID, token, ask) })
		}
		both.Wait()
	}
}

// claim asks until there is a definite answer.
func (s *storm) claim(ctx context.Context, userID, token string, ask crowd.Ask) {
	id := int64(1) // older than any that the api makes
	if ask.Coupon != crowd.Unknown {
		id = s.ids[ask.Coupon]
	}
	path := fmt.Sprintf("/v1/coupons/%d/issues", id)
	for range maxRepeats {
		began := time.Now()
		a, err := s.client.send(ctx, http.MethodPost, path, token, ask.Key, nil)
		if s.record(a, err, id, ask, userID, time.Since(began)) {
			return
		}
		if pause(ctx, repeatPause) != nil {
			return
		}
	}
	s.note(func() { s.silent = append(s.silent, fmt.Sprintf("%s at coupon %d", userID, id)) })
}

// record notes an answer and says whether it is definite.
func (s *storm) record(a answer, err error, couponID int64, ask crowd.Ask, userID string, took time.Duration) (definite bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Beyond the histogram's end is beyond the client's timeout; such an answer is counted as one that took as long.
	_ = s.latency.RecordValue(min(max(took.Microseconds(), 1), requestTimeout.Microseconds()))
	if err != nil {
		s.answers["no answer"]++
		return false
	}
	if !a.promised() {
		code := a.code()
		s.answers[fmt.Sprintf("%d %s", a.status, code)]++
		if a.status >= http.StatusInternalServerError {
			return false
		}
		s.refused(code, couponID, ask, userID)
		return true
	}
	var r receipt
	if err := json.Unmarshal(a.body, &r); err != nil || r.CouponID != couponID || r.UserID != userID || r.Seq < 1 {
		s.wrong = append(s.wrong, fmt.Sprintf("%s at coupon %d: no receipt: %s", userID, couponID, a.body))
		return true
	}
	word := "202 accepted"
	_, again := s.promises[claimID{coupon: r.CouponID, user: r.UserID, nth: r.Nth}]
	switch {
	case a.status == http.StatusOK:
		word = "200 the same receipt again"
	case again:
		word = "202 the same place, being settled still"
	}
	s.answers[word]++
	if s.first.IsZero() {
		s.first = time.Now()
	}
	s.promised(r, ask)
	return true
}

func (s *storm) promised(r receipt, ask crowd.Ask) {
	of := claimID{coupon: r.CouponID, user: r.UserID, nth: r.Nth}
	if seq, again := s.promises[of]; again && seq != r.Seq {
		s.changed++
	}
	s.promises[of] = r.Seq
	s.keys[of] = ask.Key
	if ask.Coupon == crowd.Unknown || s.crowd.Coupons[ask.Coupon].Window != crowd.Open {
		s.wrong = append(s.wrong, fmt.Sprintf("%s got a place at coupon %d, which is not open", r.UserID, r.CouponID))
	}
}

// refused holds a refusal to what the crowd knows of the coupon.
func (s *storm) refused(code string, couponID int64, ask crowd.Ask, userID string) {
	var fits bool
	switch {
	case ask.Coupon == crowd.Unknown:
		fits = code == "coupon_not_found"
	case s.crowd.Coupons[ask.Coupon].Window == crowd.Unopened:
		fits = code == "not_open"
	case s.crowd.Coupons[ask.Coupon].Window == crowd.Closed:
		fits = code == "closed"
	case code == "sold_out":
		s.soldOut[couponID] = true
		fits = true
	case code == "event_limit":
		fits = s.crowd.Coupons[ask.Coupon].Event >= 0
	case code == "user_limit":
		fits = s.crowd.Coupons[ask.Coupon].PerUserLimit > 1
	}
	if !fits {
		s.wrong = append(s.wrong, fmt.Sprintf("%s at coupon %d: refused with %s", userID, couponID, code))
	}
}

func (s *storm) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}
