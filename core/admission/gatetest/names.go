package gatetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// names are all names that the gate tells, each once.
func (f *fixture) names(ref coupon.Ref) []string {
	f.Helper()
	seen := map[string]bool{}
	require.NoError(f, f.Gate.EachName(f.ctx, ref, func(user string) { seen[user] = true }))
	all := make([]string, 0, len(seen))
	for user := range seen {
		all = append(all, user)
	}
	return all
}

func namesOfHolders(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	require.Empty(f, f.names(c.Ref))
	// More than a page, so that several calls take part on a server that cuts it into pages.
	var users []string
	for i := range 2000 {
		users = append(users, fmt.Sprintf("user-%d", i))
	}
	for start := 0; start < len(users); start += 100 {
		f.admit(c.Ref, users[start:start+100]...)
	}
	require.ElementsMatch(f, users, f.names(c.Ref))
}

func namesOnce(f *fixture) {
	c := f.limited(10, 3)
	f.publish(c)
	f.admitAsks(c.Ref, ask("u", "k1"), ask("u", "k2"), ask("v", "k1"))
	require.ElementsMatch(f, []string{"u", "v"}, f.names(c.Ref))
}

func namesOfMembers(f *fixture) {
	made := f.event(2, 5)
	f.publish(made...)
	f.admit(made[0].Ref, "u")
	f.admit(made[1].Ref, "v", "w")
	for _, c := range made {
		require.ElementsMatch(f, []string{"u", "v", "w"}, f.names(c.Ref))
		require.EqualValues(f, 3, f.view(c.Ref).Members)
	}
	free := made[0].Ref
	free.Member = false
	require.ElementsMatch(f, []string{"u"}, f.names(free), "a coupon that uses up nobody's place has holders only")
}

func noNames(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "u")
	f.Restart(c.Tag)
	err := f.Gate.EachName(f.ctx, c.Ref, func(user string) { f.Errorf("named %s", user) })
	f.requireUnsound(err, c.Ref, coupon.WhyForeign)
}
