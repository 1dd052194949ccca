package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

var rebuildPoints = []string{
	"rebuild.asked", "rebuild.epoch-taken", "rebuild.marked", "rebuild.ends-noted", "rebuild.barrier-stored",
	"rebuild.offsets-read", "rebuild.rows-read", "rebuild.tail-read", "rebuild.loaded", "rebuild.opened",
}

// rebuilt is one gate that is lost and whose first rebuild dies, or falls asleep, at a point.
type rebuilt struct {
	point  string
	sleeps bool
	coupon int64
	seqs   map[string]int64
	victim *stack.Proc
}

func (r *rebuilt) name() string {
	if r.sleeps {
		return r.point + ", asleep"
	}
	return r.point
}

// A rebuild dies at each of its steps, or falls asleep there and wakes up when another one has opened the gate. Each gate
// has a row and a record that no consumer has written yet, so that none of its steps is empty.
func TestCrashPointsOfARebuild(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var all []*rebuilt
	for i, point := range rebuildPoints {
		all = append(all, &rebuilt{point: point})
		if i > 0 {
			all = append(all, &rebuilt{point: point, sleeps: true})
		}
	}
	_, procs := s.healthy(t, "api", "consumer")
	for _, r := range all {
		r.coupon = s.At(procs["api"]).Coupon(t, map[string]any{"total_quantity": 5})
		r.seqs = map[string]int64{"ann": s.again(t, procs["api"], r.coupon, "ann").Seq}
	}
	for _, r := range all {
		stack.Eventually(t, loadSlack, func() bool { return s.whole(t, r.coupon, "ann") }, "a row")
	}
	procs["consumer"].Stop(t)
	for _, r := range all {
		r.seqs["bob"] = s.again(t, procs["api"], r.coupon, "bob").Seq
	}
	procs["api"].Stop(t)
	for _, r := range all {
		s.rebuildDies(t, r)
	}

	since, procs := s.healthy(t, "api", "consumer", "batch")
	var left []waiting
	for _, r := range all {
		left = append(left, waiting{r.name(), r.point, func() bool { return s.whole(t, r.coupon, "ann", "bob") }})
	}
	s.allRepaired(t, since, left)
	for _, r := range all {
		t.Run(r.name(), func(t *testing.T) {
			if r.sleeps {
				r.victim.Wake(t)
				r.victim.Exit(t, loadSlack)
				require.True(t, s.whole(t, r.coupon, "ann", "bob"), "whole after the awakening:\n%s", r.victim.Log())
			}
			for user, seq := range r.seqs {
				require.Equal(t, seq, s.again(t, procs["api"], r.coupon, user).Seq, "%s keeps the number", user)
			}
			s.again(t, procs["api"], r.coupon, "carl")
			stack.Eventually(t, loadSlack, func() bool { return s.whole(t, r.coupon, "ann", "bob", "carl") }, "the sale goes on")
		})
	}
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
}

// rebuildDies loses the gate of a coupon, begins to rebuild it, and looks what the end at the point leaves.
func (s scene) rebuildDies(t *testing.T, r *rebuilt) {
	t.Helper()
	require.EqualValues(t, 1, s.Redis.Del(t.Context(), s.key(r.coupon, "gate")).Val())
	switch {
	case r.point == "rebuild.asked": // the queue's: of an api, which hears of the loss from a claim or its sweeper
		r.victim = s.Doomed(t, "api", nil, r.point)
	case r.sleeps:
		r.victim = s.Doomed(t, "batch", []string{"rebuild", "--tag", tagOf(r.coupon)}, r.point+":1:stop")
	default:
		r.victim = s.Doomed(t, "batch", []string{"rebuild", "--tag", tagOf(r.coupon)}, r.point)
	}
	if r.sleeps {
		asleep(t, r.victim, r.point)
	} else {
		killed(t, r.victim, r.point)
	}
	step := -1
	for i, point := range rebuildPoints {
		if point == r.point {
			step = i + 1
		}
	}
	gate := s.Redis.HGetAll(t.Context(), s.key(r.coupon, "gate")).Val()
	switch {
	case step < 3:
		require.Empty(t, gate, "%s: the gate is as it was: lost", r.point)
	case step < 10:
		require.Equal(t, []string{"mark", "2"}, []string{gate["st"], gate["epoch"]}, "%s: the gate is shut", r.point)
	default:
		require.Equal(t, []string{"open", "2"}, []string{gate["st"], gate["epoch"]}, "%s: the gate is open", r.point)
	}
	epoch := s.Count(t, "SELECT epoch FROM gates WHERE tag = ?", tagOf(r.coupon))
	leases := s.Count(t, "SELECT COUNT(*) FROM gates WHERE tag = ? AND lease_until IS NOT NULL", tagOf(r.coupon))
	if step < 2 {
		require.Equal(t, []int64{1, 0}, []int64{epoch, leases}, "%s: no epoch is taken", r.point)
	} else {
		require.Equal(t, []int64{2, 1}, []int64{epoch, leases}, "%s: the epoch is taken, and leased", r.point)
	}
	barriers := s.Count(t, "SELECT COUNT(*) FROM gate_barriers WHERE tag = ? AND epoch = 2", tagOf(r.coupon))
	require.Equal(t, step >= 5, barriers > 0, "%s: a barrier", r.point)
	private := s.Redis.Keys(t.Context(), fmt.Sprintf("fc:{c%d}:load:2:*", r.coupon)).Val()
	require.Equal(t, step == 8 || step == 9, len(private) > 0, "%s: private keys %v", r.point, private)
	for _, key := range private {
		ttl := s.Redis.TTL(t.Context(), key).Val()
		require.True(t, ttl > 0 && ttl <= time.Hour, "%s runs out in %s", key, ttl)
	}
}

var publishPoints = []string{"publish.booked", "publish.marked", "publish.rechecked", "publish.opened"}

// An api dies, or falls asleep, at each step of publishing a coupon.
func TestCrashPointsOfPublishing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	type published struct {
		point, name string
		sleeps      bool
		coupon      int64
		victim      *stack.Proc
	}
	var all []*published
	for _, point := range publishPoints {
		all = append(all, &published{point: point})
	}
	for _, point := range publishPoints[:3] {
		all = append(all, &published{point: point, sleeps: true})
	}
	body := func(name string, vendor int64) map[string]any {
		return map[string]any{
			"name": name, "vendor_id": vendor, "total_quantity": 5, "opens_at": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339),
			"closes_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		}
	}
	var vendor int64
	for _, p := range all {
		how := p.point
		if p.sleeps {
			how += ":1:stop"
		}
		// The sweepers of all these apis look at the new coupons, too; a walk a minute keeps them out of each other's way.
		p.victim = s.Doomed(t, "api", nil, how, "FIRSTCOME_SWEEPER_EVERY=1m")
		if vendor == 0 {
			vendor = s.At(p.victim).Vendor(t)
		}
		p.name = stack.Unique("coupon")
		publish := func() (stack.Answer, error) {
			return s.At(p.victim).Do(t.Context(), 0, http.MethodPost, "/v1/admin/coupons", s.Token("root", true), body(p.name, vendor))
		}
		if p.sleeps {
			go func() { _, _ = publish() }() // answered when it wakes up, or never
			asleep(t, p.victim, p.point)
		} else {
			_, err := publish()
			require.Error(t, err)
			killed(t, p.victim, p.point)
		}
		p.coupon = s.Count(t, "SELECT id FROM coupons WHERE name = ?", p.name)
		require.EqualValues(t, 1, s.Count(t, "SELECT epoch FROM gates WHERE tag = ?", tagOf(p.coupon)))
		want := map[string]string{"publish.marked": "mark", "publish.rechecked": "mark", "publish.opened": "open"}[p.point]
		require.Equal(t, want, s.Redis.HGet(t.Context(), s.key(p.coupon, "gate"), "st").Val(), "%s: the gate", p.point)
	}

	since, procs := s.healthy(t, "api", "consumer", "batch")
	var left []waiting
	for _, p := range all {
		left = append(left, waiting{p.point, p.point, func() bool { return s.whole(t, p.coupon) }})
	}
	s.allRepaired(t, since, left)
	for _, p := range all {
		name := p.point
		if p.sleeps {
			name += ", asleep"
		}
		t.Run(name, func(t *testing.T) {
			a := s.At(procs["api"]).Must(t, http.StatusConflict, http.MethodPost, "/v1/admin/coupons", s.Token("root", true), body(p.name, vendor))
			require.Equal(t, "name_taken", a.Code(), "who asks again hears that it is there")
			first := s.again(t, procs["api"], p.coupon, "ann")
			stack.Eventually(t, loadSlack, func() bool { return s.whole(t, p.coupon, "ann") }, "a row")
			if p.sleeps {
				p.victim.Wake(t)
				stack.Eventually(t, loadSlack, func() bool { return !p.victim.Sleeps() }, "awake")
				// Its further steps find the gate of a newer epoch, or open: whichever, ann stays the first.
				require.Equal(t, first, s.again(t, p.victim, p.coupon, "ann"), "the same receipt at the one that woke up")
				require.EqualValues(t, 2, s.again(t, p.victim, p.coupon, "bob").Seq)
				stack.Eventually(t, loadSlack, func() bool { return s.whole(t, p.coupon, "ann", "bob") }, "whole after the awakening")
			}
		})
	}
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
}

var changePoints = []string{"change.begun", "change.at-gate", "change.widened", "change.stored", "change.ended"}

// An api dies at each step of a change of the cap, down and up; one falls asleep and wakes up when the coupon has been
// changed again.
func TestCrashPointsOfAChange(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const before = 10
	type change struct {
		point    string
		to       int
		book     int64  // the total in the database after the crash
		cap      string // at the gate after the crash
		next     string // at the gate, for later
		noted    bool   // the end
		sleeps   bool
		coupon   int64
		victim   *stack.Proc
		finished int64 // the total in the end
	}
	all := []*change{
		{point: "change.begun", to: 5, book: before, cap: "10"},
		{point: "change.at-gate", to: 5, book: before, cap: "5"},
		{point: "change.stored", to: 5, book: 5, cap: "5"},
		{point: "change.ended", to: 5, book: 5, cap: "5", noted: true},
		{point: "change.begun", to: 20, book: 20, cap: "10"},
		{point: "change.widened", to: 20, book: 20, cap: "10", next: "20"},
		{point: "change.ended", to: 20, book: 20, cap: "10", next: "20", noted: true},
		{point: "change.begun", to: 5, book: before, cap: "10", sleeps: true},
		{point: "change.at-gate", to: 5, book: before, cap: "5", sleeps: true},
	}
	users := []string{"ann", "bob", "carl"}
	ask := func(s *stack.Stack, coupon int64, total int) (stack.Answer, error) {
		return s.Do(t.Context(), 0, http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", coupon), s.Token("root", true),
			map[string]any{"total_quantity": total, "reason": "the budget changed"})
	}
	for _, c := range all {
		how := c.point
		if c.sleeps {
			how += ":1:stop"
		}
		c.victim, c.finished = s.Doomed(t, "api", nil, how), int64(c.to)
		c.coupon = s.At(c.victim).Coupon(t, map[string]any{"total_quantity": before})
		for _, user := range users {
			s.again(t, c.victim, c.coupon, user)
		}
		if c.sleeps {
			go func() { _, _ = ask(s.At(c.victim), c.coupon, c.to) }() // answered when it wakes up, or never
			asleep(t, c.victim, c.point)
		} else {
			_, err := ask(s.At(c.victim), c.coupon, c.to)
			require.Error(t, err)
			killed(t, c.victim, c.point)
		}
		require.Equal(t, c.book, s.Count(t, "SELECT total_quantity FROM coupons WHERE id = ?", c.coupon), "%s: the book", c.point)
		gate := s.Redis.HGetAll(t.Context(), s.key(c.coupon, "coupon")).Val()
		require.Equal(t, []string{c.cap, c.next}, []string{gate["cap"], gate["next_cap"]}, "%s: the gate", c.point)
		require.Equal(t, c.noted, s.noted(t, c.coupon), "%s: the end is noted", c.point)
	}

	since, procs := s.healthy(t, "api", "consumer", "batch")
	var left []waiting
	for _, c := range all {
		left = append(left, waiting{fmt.Sprintf("%s to %d", c.point, c.to), c.point, func() bool {
			return s.changed(t, c.coupon, c.finished) && s.whole(t, c.coupon, users...)
		}})
	}
	s.allRepaired(t, since, left)
	for _, c := range all {
		name := fmt.Sprintf("%s, from %d to %d", c.point, before, c.to)
		if c.sleeps {
			name += ", asleep"
		}
		t.Run(name, func(t *testing.T) {
			if c.sleeps {
				a, err := ask(s.At(procs["api"]), c.coupon, 7)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
				c.victim.Wake(t)
				stack.Eventually(t, loadSlack, func() bool { return !c.victim.Sleeps() }, "awake")
				s.again(t, c.victim, c.coupon, "dora") // it works again, behind what it was in the middle of
				stack.Eventually(t, loadSlack, func() bool { return s.changed(t, c.coupon, 7) }, "the later change stands")
				c.finished = 7
			}
			// What it says is what is sold, once what is wider holds.
			taken := s.Redis.HLen(t.Context(), s.key(c.coupon, "holders")).Val()
			stack.Eventually(t, loadSlack, func() bool {
				a, err := s.At(procs["api"]).Do(t.Context(), 0, http.MethodGet, fmt.Sprintf("/v1/coupons/%d", c.coupon), "", nil)
				return err == nil && strings.Contains(string(a.Body), fmt.Sprintf(`"remaining":%d,`, c.finished-taken))
			}, "%d of %d are left", c.finished-taken, c.finished)
			sold := int64(0)
			for i := range c.finished + 5 {
				user := fmt.Sprintf("u%d", i)
				stack.Eventually(t, loadSlack, func() bool {
					a, err := s.At(procs["api"]).Claim(t.Context(), 0, c.coupon, user)
					if err == nil && a.Accepted() {
						sold++
					}
					return err == nil && (a.Accepted() || a.Code() == "sold_out")
				}, "%s is answered", user)
			}
			stack.Eventually(t, loadSlack, func() bool {
				return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", c.coupon) == c.finished
			}, "%d sold in the storm after the change, %d in all", sold, c.finished)
		})
	}
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
}

func (s scene) noted(t *testing.T, coupon int64) bool {
	t.Helper()
	return s.Count(t, "SELECT COUNT(*) FROM coupon_changes c WHERE c.coupon_id = ? AND NOT EXISTS (SELECT 1 FROM coupon_change_ends e "+
		"WHERE e.coupon_id = c.coupon_id AND e.revision = c.revision)", coupon) == 0
}

// changed says whether book and gate have this total, now or M later, and no change is open.
func (s scene) changed(t *testing.T, coupon, total int64) bool {
	t.Helper()
	gate := s.Redis.HGetAll(t.Context(), s.key(coupon, "coupon")).Val()
	atGate := gate["cap"]
	if strings.TrimSpace(gate["next_cap"]) != "" {
		atGate = gate["next_cap"]
	}
	return s.noted(t, coupon) && atGate == strconv.FormatInt(total, 10) &&
		total == s.Count(t, "SELECT total_quantity FROM coupons WHERE id = ?", coupon)
}
