package demo

import (
	"fmt"
	"io"

	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

// printCurl prints lines that can be pasted into a shell while the stack serves.
func printCurl(w io.Writer, base, ops string, s *storm, token func(user, role string) (string, error)) error {
	alice, err := token("alice", "user")
	if err != nil {
		return err
	}
	admin, err := token("root", "admin")
	if err != nil {
		return err
	}
	open, left := s.openCoupon()
	say(w, "\nThe stack keeps serving; Ctrl-C ends it and removes its folder. Paste any of these lines:\n")
	line := func(what, format string, args ...any) {
		// The answers end without a newline.
		say(w, "\n# %s\n%s; echo\n", what, fmt.Sprintf(format, args...))
	}
	line("coupons, the first three", "curl -s '%s/v1/coupons?limit=3'", base)
	if open != 0 {
		line(fmt.Sprintf("claim one of %d that are left, as alice; again for the same receipt", left),
			"curl -s -X POST -H 'Authorization: Bearer %s' %s/v1/coupons/%d/issues", alice, base, open)
		line("what became of it", "curl -s -H 'Authorization: Bearer %s' %s/v1/coupons/%d/issues/me", alice, base, open)
	}
	line("all of alice's", "curl -s -H 'Authorization: Bearer %s' %s/v1/me/issues", alice, base)
	if full := s.fullCoupon(); full != 0 {
		line("one that is sold out", "curl -s -X POST -H 'Authorization: Bearer %s' %s/v1/coupons/%d/issues", alice, base, full)
		line("as an admin: ten thousand of it in all; half a second later claim again",
			`curl -s -X PATCH -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"total_quantity":10000,"reason":"trying it out"}' %s/v1/admin/coupons/%d`,
			admin, base, full)
	}
	line("is it well", "curl -s %s/readyz", ops)
	line("what it measures", "curl -s %s/metrics | grep ^firstcome", ops)
	say(w, "\n")
	return nil
}

// openCoupon is a coupon with a limit of 1 and places left, and how many those are; 0 when there is none.
func (s *storm) openCoupon() (id, left int64) {
	taken := map[int64]int64{}
	for of := range s.promises {
		taken[of.coupon]++
	}
	for i, c := range s.crowd.Coupons {
		if c.Window == crowd.Open && c.Event < 0 && c.PerUserLimit == 1 && taken[s.ids[i]] < c.Total {
			return s.ids[i], c.Total - taken[s.ids[i]]
		}
	}
	return 0, 0
}

// fullCoupon is a coupon with a limit of 1 that was sold out; 0 when there is none.
func (s *storm) fullCoupon() int64 {
	for i, c := range s.crowd.Coupons {
		if s.soldOut[s.ids[i]] && c.PerUserLimit == 1 {
			return s.ids[i]
		}
	}
	return 0
}
