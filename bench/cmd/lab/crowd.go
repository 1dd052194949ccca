package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/firstcome/firstcome/bench/loadgen"
)

// crowd is everybody who asks for one coupon, and what they were told.
type crowd struct {
	secret []byte
	coupon int64
	users  int
	places int64

	mu   sync.Mutex
	told map[int]int // user -> the last definite status; 202 and 200 are never forgotten
}

// tries is how often who got no answer asks again.
const tries = 8

func (c *crowd) name(user int) string { return fmt.Sprintf("u-%d-%d", c.coupon, user) }

// storm has everybody ask, every tenth twice at once, and then those again who got no definite answer. onHalf is called
// once, when as many have been answered as would get half of the places. The result is of the first round.
func (c *crowd) storm(ctx context.Context, targets []string, connections int, onHalf func()) (loadgen.Result, error) {
	c.told = map[int]int{}
	claims, err := loadgen.NewClaims(c.coupon, c.secret, c.users, c.name)
	if err != nil {
		return loadgen.Result{}, err
	}
	var asks []int
	for user := range c.users {
		asks = append(asks, user)
		if user%10 == 0 {
			asks = append(asks, user)
		}
	}
	var first loadgen.Result
	for try := range tries {
		answered := 0
		half := int(min(c.places, int64(len(asks)))) / 2
		result, err := loadgen.Run(ctx, loadgen.Load{
			Targets: targets, Requests: len(asks), Connections: connections,
			Append: func(buf []byte, i int) []byte { return claims.Append(buf, asks[i]) },
			Answer: func(i, status int, _ []byte) {
				c.mu.Lock()
				defer c.mu.Unlock()
				if answered++; answered == half && try == 0 && onHalf != nil {
					go onHalf()
				}
				if old := c.told[asks[i]]; !got(old) && (got(status) || status == http.StatusConflict) {
					c.told[asks[i]] = status
				}
			},
		})
		if err != nil {
			return first, err
		}
		if try == 0 {
			first = result
		}
		asks = asks[:0]
		for user := range c.users {
			if c.told[user] == 0 {
				asks = append(asks, user)
			}
		}
		if len(asks) == 0 {
			break
		}
		select { // a process that was killed is just starting again
		case <-time.After(time.Second):
		case <-ctx.Done():
			return first, ctx.Err()
		}
	}
	return first, nil
}

func got(status int) bool { return status == http.StatusOK || status == http.StatusAccepted }

// faults are what went wrong.
type faults struct {
	Over    int64 `json:"over_issued"` // rows above the cap
	Doubled int64 `json:"doubled"`     // rows of users who have one already
	Lost    int64 `json:"lost"`        // told "you have it", and no row
	Burned  int64 `json:"burned"`      // places that nobody got although users were told "sold out"
	Unsure  int64 `json:"unanswered"`  // users who never got a definite answer
}

func (f faults) wrong() int64 { return f.Over + f.Doubled + f.Lost + f.Burned }

// judge compares what users were told with the rows.
func (c *crowd) judge(places int64, rows map[string]int64) faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	var f faults
	var total, refused int64
	for _, n := range rows {
		total += n
		f.Doubled += n - 1
	}
	for user := range c.users {
		switch status := c.told[user]; {
		case got(status) && rows[c.name(user)] == 0:
			f.Lost++
		case status == http.StatusConflict:
			refused++
		case status == 0:
			f.Unsure++
		}
	}
	f.Over = max(total-places, 0)
	if refused > 0 {
		f.Burned = max(places-total, 0)
	}
	return f
}
