package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

// againAtMost is how many winners come back after the storm to see their receipt again: I6 on a sample.
const againAtMost = 500

// askAgain lets winners ask once more: the same number, whatever is sold out by now.
func (s *storm) askAgain(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	asked := 0
	for _, u := range s.crowd.Users {
		ask := u.Asks[0]
		if asked == againAtMost || ask.Coupon == crowd.Unknown {
			continue
		}
		of := claimID{coupon: s.ids[ask.Coupon], user: u.ID, nth: 1}
		s.mu.Lock()
		seq, won := s.promises[of]
		key := s.keys[of] // not ask's: while answers fail a later key of the user may have won the first place
		s.mu.Unlock()
		if !won {
			continue
		}
		asked++
		g.Go(func() error { return s.checkAgain(ctx, of, seq, key) })
	}
	return g.Wait()
}

func (s *storm) checkAgain(ctx context.Context, of claimID, seq int64, key string) error {
	token, err := s.token(of.user)
	if err != nil {
		return err
	}
	for range maxRepeats {
		a, err := s.client.send(ctx, http.MethodPost, fmt.Sprintf("/v1/coupons/%d/issues", of.coupon), token, key, nil)
		if err == nil && a.status < http.StatusInternalServerError {
			var r receipt
			if !a.promised() || json.Unmarshal(a.body, &r) != nil || r.Seq != seq {
				s.note(func() {
					s.changed++
					s.wrong = append(s.wrong, fmt.Sprintf("%s had number %d of coupon %d and is told: %s", of.user, seq, of.coupon, a.body))
				})
			}
			return nil
		}
		if err = pause(ctx, repeatPause); err != nil {
			return err
		}
	}
	s.note(func() { s.silent = append(s.silent, of.user+" who asked again") })
	return nil
}
