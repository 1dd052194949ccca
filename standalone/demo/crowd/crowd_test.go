package crowd_test

import (
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

func TestTheSameSeedMakesTheSameCrowd(t *testing.T) {
	t.Parallel()
	one := crowd.New(crowd.Options{Seed: 7})
	assert.Equal(t, one, crowd.New(crowd.Options{Seed: 7}))
	assert.NotEqual(t, one, crowd.New(crowd.Options{Seed: 8}))
	assert.Len(t, one.Coupons, 1000)
	assert.Len(t, one.Users, 20000)
	assert.GreaterOrEqual(t, len(one.Vendors), 5)
}

func TestNamesAreUniqueAndWithinTheContract(t *testing.T) {
	t.Parallel()
	c := crowd.New(crowd.Options{Seed: 1})
	seen := map[string]bool{}
	unique := func(name string) {
		assert.True(t, coupon.ValidName(name), name)
		assert.False(t, seen[name], name)
		seen[name] = true
	}
	for _, v := range c.Vendors {
		unique(v)
	}
	for _, e := range c.Events {
		unique(e)
	}
	korean := false
	for _, one := range c.Coupons {
		unique(one.Name)
		korean = korean || regexp.MustCompile(`\p{Hangul}`).MatchString(one.Name)
		assert.LessOrEqual(t, utf8.RuneCountInString(one.Name), coupon.MaxName)
	}
	assert.True(t, korean)
	for _, u := range c.Users {
		require.True(t, coupon.ValidUserID(u.ID), u.ID)
		require.False(t, seen[u.ID], u.ID)
		seen[u.ID] = true
	}
}

func TestEveryKindOfAskIsThere(t *testing.T) {
	t.Parallel()
	c := crowd.New(crowd.Options{Seed: 1})
	demand := make([]int, len(c.Coupons))
	var unknown, unopened, closed, twice, event, many int
	for _, u := range c.Users {
		require.NotEmpty(t, u.Asks)
		for _, a := range u.Asks {
			if a.Twice {
				twice++
			}
			if a.Coupon == crowd.Unknown {
				unknown++
				continue
			}
			demand[a.Coupon]++
			of := c.Coupons[a.Coupon]
			switch {
			case of.Window == crowd.Unopened:
				unopened++
			case of.Window == crowd.Closed:
				closed++
			case of.Event >= 0:
				event++
			case of.PerUserLimit > 1:
				many++
				require.True(t, coupon.ValidKey(a.Key))
			}
		}
	}
	for _, n := range []int{unknown, unopened, closed, twice, event, many} {
		assert.Greater(t, n, 100)
	}
	var soldOut, places, asked int
	for i, n := range demand {
		if c.Coupons[i].Window == crowd.Open {
			soldOut += max(0, n-int(c.Coupons[i].Total))
			places += min(n, int(c.Coupons[i].Total))
			asked += n
		}
	}
	t.Logf("of %d asks for open coupons %d find a place, %d are too late", asked, places, soldOut)
	assert.Greater(t, soldOut, 4000)
	assert.Greater(t, places, 6000)
}

func TestASmallCrowdIsNoProblem(t *testing.T) {
	t.Parallel()
	c := crowd.New(crowd.Options{Seed: 3, Coupons: 1, Users: 10})
	assert.Len(t, c.Coupons, 1)
	assert.Len(t, c.Users, 10)
}
