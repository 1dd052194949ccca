package coupon_test

import (
	"regexp"
	"testing"

	"github.com/firstcome/firstcome/core/coupon"
)

// FuzzNames: what names a user or a claim is exactly what the contract says, byte for byte.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"", "u-81", "Alice@example.org", "a:b", "a b", "ключ", "\x00", "a\n", "\xff", "a/b",
		"0123456789012345678901234567890123456789012345678901234567890123",
		"01234567890123456789012345678901234567890123456789012345678901234"} {
		f.Add(s)
	}
	user := regexp.MustCompile(`\A[A-Za-z0-9._:@-]{1,64}\z`)
	key := regexp.MustCompile(`\A[A-Za-z0-9._:-]{1,64}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := coupon.ValidUserID(s), user.MatchString(s); got != want {
			t.Errorf("%q as a user id: %v", s, got)
		}
		if got, want := coupon.ValidKey(s), key.MatchString(s); got != want {
			t.Errorf("%q as an idempotency key: %v", s, got)
		}
		if coupon.ValidName(s) && (s == "" || len([]rune(s)) > coupon.MaxName) {
			t.Errorf("%q is a name", s)
		}
	})
}
