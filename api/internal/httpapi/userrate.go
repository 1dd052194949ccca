package httpapi

import (
	"fmt"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxRated bounds how many users' rates are known: about 250 bytes each, 16 MB in all. Whoever is forgotten starts with
// a full bucket, so the bound is above the users that one instance can serve within a second.
const maxRated = 1 << 16

// userRates holds each user to a number of claims a second. It counts by user, never by address: many users share one.
type userRates struct {
	perSecond rate.Limit
	burst     int
	users     *lru.Cache[string, *rate.Limiter]
}

// newUserRates allows perSecond claims, and as many at once, at least one.
func newUserRates(perSecond float64) (*userRates, error) {
	users, err := lru.New[string, *rate.Limiter](maxRated)
	if err != nil {
		return nil, fmt.Errorf("memory of user rates: %w", err)
	}
	return &userRates{perSecond: rate.Limit(perSecond), burst: max(int(math.Ceil(perSecond)), 1), users: users}, nil
}

func (r *userRates) allow(userID string, now time.Time) bool {
	limiter, known := r.users.Get(userID)
	if !known {
		limiter = rate.NewLimiter(r.perSecond, r.burst)
		if earlier, there, _ := r.users.PeekOrAdd(userID, limiter); there {
			limiter = earlier
		}
	}
	return limiter.AllowN(now, 1)
}
