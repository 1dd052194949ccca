package memgate

import (
	"cmp"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
)

// NewServer makes it another server with the same data, as after a restart from an old dump or a failover: every gate
// is foreign until it is rebuilt.
func (g *Gate) NewServer() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server = rand.Text()
}

// Flush forgets a tag; all of them when the tag is empty.
func (g *Gate) Flush(tag string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if tag == "" {
		clear(g.tags)
		return
	}
	delete(g.tags, tag)
}

// Lose forgets one key of a tag, named like Redis' keys: gate, members, coupon:<id>, holders:<id> or pending:<id>.
func (g *Gate) Lose(tag, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of(tag)
	kind, number, _ := strings.Cut(key, ":")
	id, _ := strconv.ParseInt(number, 10, 64) // 0 for the keys that are of no one coupon
	switch kind {
	case "gate":
		t.gate = nil
	case "members":
		clear(t.members)
	case "coupon":
		delete(t.coupons, id)
	case "holders":
		delete(t.holders, id)
	case "pending":
		delete(t.pending, id)
	}
}

// LoseOne forgets one entry of members, holders:<id> or pending:<id>: the first in the order of user and nth.
func (g *Gate) LoseOne(tag, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of(tag)
	kind, number, _ := strings.Cut(key, ":")
	id, _ := strconv.ParseInt(number, 10, 64) // 0 for the keys that are of no one coupon
	switch kind {
	case "members":
		loseFirst(t.members, cmp.Compare)
	case "holders":
		loseFirst(t.holders[id], compareSlots)
	case "pending":
		loseFirst(t.pending[id], compareSlots)
	}
}

func loseFirst[K comparable, V any](m map[K]V, compare func(a, b K) int) {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	if len(keys) > 0 {
		delete(m, slices.MinFunc(keys, compare))
	}
}

// compareSlots is the order of the fields in Redis: byte by byte, nth as a text.
func compareSlots(a, b slot) int {
	return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(strconv.Itoa(a.nth), strconv.Itoa(b.nth)))
}
