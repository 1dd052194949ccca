package redisgate

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// replyOf is a server's reply as go-redis hands it on: one element a line, ":" before a number, anything else a text, "_"
// a nil.
func replyOf(lines string) []any {
	var reply []any
	for line := range strings.SplitSeq(lines, "\n") {
		switch number, isNumber := strings.CutPrefix(line, ":"); {
		case line == "_":
			reply = append(reply, nil)
		case isNumber:
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				reply = append(reply, line)
				continue
			}
			reply = append(reply, n)
		default:
			reply = append(reply, line)
		}
	}
	return reply
}

// FuzzReplies: whatever a server answers to a script of ours, it is read without a panic; what is taken for a decision is
// one that a gate can give, for exactly those who asked; and only the words that say "no" are a "no": the rest is unknown.
func FuzzReplies(f *testing.F) {
	for _, lines := range []string{
		"ok\n:3\n:7\n:1763625600000123\n1763625600000000\n1:1:57:1763625600000123 10",
		"ok\n:3\n:7\n:1763625600000123\n1763625600000000\n3:2:57:1763625600000123:key 2:1:1:1",
		"ok\n11", "ok\n10\n:1", "unsound\nmark", "overtaken\n4", "too_early\n12", "below_issued\n:7", "superseded\n:9", "",
		"ok\n:3\nann\n57:1763625600000123\nbob\nx58:1763625600000124", "ok\n:3\nann\x1f2\n57:1763625600000123:key", "ok\n_\n_", "ok",
		"ok\n:3\n:7\n:1763625600000123\nopen\n1763625600000000\n1763629200000000\n1000\n:57\n:1\n:0",
		"ok\n:9223372036854775807\n:-1\n:0\n-9223372036854775808\n4:0:-1:99999999999999999999",
	} {
		f.Add(lines, 2)
	}
	ref := coupon.Ref{CouponID: 7, Tag: "c7", PerUserLimit: 3}
	f.Fuzz(func(t *testing.T, lines string, asked int) {
		asked &= 7
		settled := func() *call {
			c := &call{script: script{name: "fuzz"}, tag: "c7", reply: replyOf(lines)}
			c.settle()
			return c
		}
		word, _, _ := strings.Cut(lines, "\n")
		refused := settled().err
		for saying, no := range map[string]error{
			"overtaken": coupon.ErrOvertaken, "too_early": coupon.ErrTooEarly, "below_issued": coupon.ErrBelowIssued,
			"superseded": coupon.ErrSuperseded, "unsound": coupon.ErrUnsound,
		} {
			require.Equal(t, word == saying, errors.Is(refused, no), "%q is %v", word, refused)
		}
		require.Equal(t, word == "ok", refused == nil)

		if a := admitAnswer(settled(), asked); a.Err == nil {
			require.Len(t, a.Decisions, asked)
			for _, d := range a.Decisions {
				require.True(t, d.Verdict >= coupon.Admitted && d.Verdict <= coupon.SoldOut, "%d", d.Verdict)
				require.Equal(t, d.Verdict <= coupon.Revoked, d.Nth >= 1 && d.Seq >= 1, "%+v", d)
			}
		}
		if a := confirmAnswer(settled(), asked); a.Err == nil {
			require.Len(t, a.Stands, asked)
		}
		c := settled()
		if view, ok := viewOf(c); ok {
			require.Len(t, c.reply, 10)
			require.Equal(t, c.reply[6] == "", view.Total == nil)
		}
		for i := range len(c.reply) {
			p, ok := sweptPlace(c, i, ref)
			if !ok {
				continue
			}
			value, _ := c.text(i + 1)
			again, ok := parseHeld(formatHeld(p))
			require.True(t, ok)
			first, _ := parseHeld(value)
			require.Equal(t, first, again, "%q", value)
		}
	})
}
