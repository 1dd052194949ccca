package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// loadSlack is what a machine with more to do than this test may need beyond the bounds of the table.
const loadSlack = 45 * time.Second

// rebuildLease is the lease of the rebuilds here; "lease" in the table's bounds.
const rebuildLease = 3 * time.Second

// row is one line of the tables in docs/issuance-cycle.md.
type row struct {
	step   string
	points []string
	within time.Duration
}

// cycle reads the tables. A line that has no point, or a bound that is none, fails here.
func cycle(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("../docs/issuance-cycle.md")
	require.NoError(t, err)
	var rows []row
	pointForm := regexp.MustCompile("^`([a-z-]+\\.[a-z-]+)`$")
	boundForm := regexp.MustCompile(`^(lease \+ )?([0-9]+) s$`)
	column := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if slices.Contains(cells, "step") {
			for i, name := range cells {
				column[name] = i
			}
			continue
		}
		if strings.HasPrefix(cells[0], "---") {
			continue
		}
		require.Len(t, cells, len(column), "%s", line)
		r := row{step: cells[0]}
		for point := range strings.SplitSeq(cells[column["point"]], ", ") {
			found := pointForm.FindStringSubmatch(point)
			require.NotNil(t, found, "step %s has no point in %q", r.step, point)
			r.points = append(r.points, found[1])
		}
		bound := boundForm.FindStringSubmatch(cells[column["within"]])
		require.NotNil(t, bound, "step %s has no bound in %q", r.step, cells[column["within"]])
		seconds, err := strconv.Atoi(bound[2])
		require.NoError(t, err)
		r.within = time.Duration(seconds) * time.Second
		if bound[1] != "" {
			r.within += rebuildLease
		}
		rows = append(rows, r)
	}
	require.Len(t, rows, 34, "12 steps of a claim, 4 of the sweeper, 10 of a rebuild, 4 of publishing, 4 of a change")
	return rows
}

// bounds are the table's bounds by point.
func bounds(t *testing.T) map[string]time.Duration {
	t.Helper()
	found := map[string]time.Duration{}
	for _, r := range cycle(t) {
		for _, point := range r.points {
			found[point] = r.within
		}
	}
	return found
}

// Every row of the document has a point in the code and a test here, and every point of the code has a row.
func TestTheCyclesTableTheCodeAndTheTestsSpeakOfTheSamePoints(t *testing.T) {
	t.Parallel()
	documented := slices.Sorted(maps.Keys(bounds(t)))
	require.Equal(t, documented, pointsInCode(t), "docs/issuance-cycle.md and crashpoint.At in the code")
	var tested []string
	for _, list := range [][]string{claimPoints, consumerPoints, sweeperPoints, rebuildPoints, publishPoints, changePoints} {
		tested = append(tested, list...)
	}
	slices.Sort(tested)
	require.Equal(t, documented, slices.Compact(tested), "docs/issuance-cycle.md and the tests of this file")
}

// pointsInCode are the names that the product's code passes to crashpoint.At.
func pointsInCode(t *testing.T) []string {
	t.Helper()
	call := regexp.MustCompile(`crashpoint\.At\("([^"]*)"\)`)
	var found []string
	for _, module := range []string{"core", "api", "consumer", "batch", "standalone"} {
		err := filepath.WalkDir(filepath.Join("..", module), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path) //nolint:gosec // a source of this repository
			for _, m := range call.FindAllStringSubmatch(string(text), -1) {
				found = append(found, m[1])
			}
			return err
		})
		require.NoError(t, err)
	}
	slices.Sort(found)
	require.Equal(t, slices.Compact(slices.Clone(found)), found, "a name stands for one place in the code")
	return found
}

// The programs that everybody gets hold no name of a point, nor the variable that asks for one.
func TestTheReleasedProgramsHoldNoCrashPoint(t *testing.T) {
	t.Parallel()
	names := append(pointsInCode(t), "CRASHPOINT")
	for _, role := range []string{"api", "consumer", "batch", "standalone"} {
		text, err := os.ReadFile(stack.Binary(t, role))
		require.NoError(t, err)
		for _, name := range names {
			require.NotContains(t, string(text), name, "%s", role)
		}
	}
}

// scene is a stack on real servers whose roles are started and killed one by one.
type scene struct {
	*stack.Stack
	bound map[string]time.Duration
}

func newScene(t *testing.T) scene {
	t.Helper()
	needPoints(t)
	env := []string{fmt.Sprintf("FIRSTCOME_REBUILD_LEASE=%s", rebuildLease)}
	return scene{stack.Start(t, stack.Real, stack.Options{Bare: true, Env: env}), bounds(t)}
}

func needPoints(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("crash points are built on Linux only")
	}
}

// quietAPI is an api whose sweeper leaves alone what this test leaves pending.
const quietAPI = "FIRSTCOME_SWEEPER_AGE=10m"

// healthy starts the roles that repair what is left, and says since when there is somebody.
func (s scene) healthy(t *testing.T, roles ...string) (since time.Time, procs map[string]*stack.Proc) {
	t.Helper()
	procs = map[string]*stack.Proc{}
	for _, role := range roles {
		var args []string
		if role == "batch" {
			args = []string{"serve"}
		}
		procs[role] = s.Launch(t, role, args)
	}
	return time.Now(), procs
}

// killed waits for the death at the point.
func killed(t *testing.T, p *stack.Proc, point string) {
	t.Helper()
	require.Equal(t, syscall.SIGKILL, p.Exit(t, loadSlack), "%s did not die at %s:\n%s", p.Role, point, p.Log())
}

// asleep waits until the process sleeps at the point.
func asleep(t *testing.T, p *stack.Proc, point string) {
	t.Helper()
	stack.Eventually(t, loadSlack, p.Sleeps, "%s does not sleep at %s", p.Role, point)
}

// repaired waits until the condition holds, from since for the table's bound of this point, and says how long it took.
func (s scene) repaired(t *testing.T, point string, since time.Time, condition func() bool, what string) {
	t.Helper()
	bound, known := s.bound[point]
	require.True(t, known, point)
	stack.Eventually(t, time.Until(since.Add(bound+loadSlack)), condition, "%s: %s", point, what)
	t.Logf("%s: %s after %.1f s of %s", point, what, time.Since(since).Seconds(), bound)
}

// waiting is something that is to be repaired.
type waiting struct {
	name, point string
	done        func() bool
}

// allRepaired is repaired for many at once.
func (s scene) allRepaired(t *testing.T, since time.Time, left []waiting) {
	t.Helper()
	longest := time.Duration(0)
	for _, w := range left {
		longest = max(longest, s.bound[w.point])
	}
	stack.Eventually(t, time.Until(since.Add(longest+loadSlack)), func() bool {
		left = slices.DeleteFunc(left, func(w waiting) bool {
			took := time.Since(since)
			if !w.done() {
				require.Less(t, took, s.bound[w.point]+loadSlack, "%s is not repaired", w.name)
				return false
			}
			t.Logf("%s: repaired after %.1f s of %s", w.name, took.Seconds(), s.bound[w.point])
			return true
		})
		return len(left) == 0
	}, "all are repaired")
}

// what a user has where.
type state struct {
	place   string // at the gate, "" for none: seq and instant
	pending bool
	records int
	seq     int64 // of the row; 0: none
}

func (s scene) key(coupon int64, part string) string {
	if part == "gate" {
		return fmt.Sprintf("fc:{c%d}:gate", coupon)
	}
	return fmt.Sprintf("fc:{c%d}:%s:%d", coupon, part, coupon)
}

// state is what ann, who is in the middle of each claim here, has.
func (s scene) state(t *testing.T, coupon int64) state {
	t.Helper()
	const user = "ann"
	var st state
	st.place = s.Redis.HGet(t.Context(), s.key(coupon, "holders"), user).Val()
	st.pending = s.Redis.ZScore(t.Context(), s.key(coupon, "pending"), user).Err() == nil
	for _, r := range s.Journal(t) {
		var place struct {
			Coupon int64  `json:"coupon_id"`
			User   string `json:"user_id"`
		}
		if json.Unmarshal(r.Value, &place) == nil && place.Coupon == coupon && place.User == user {
			st.records++
		}
	}
	st.seq = s.rowOf(t, coupon, user)
	return st
}

func (s scene) rowOf(t *testing.T, coupon int64, user string) int64 {
	t.Helper()
	return s.Count(t, "SELECT COALESCE(MAX(seq), 0) FROM issues WHERE coupon_id = ? AND user_id = ?", coupon, user)
}

// whole is the end state of a coupon: everybody's row has the number of the place, nothing is pending, the gate is open
// and has as many places as the ledger has rows.
func (s scene) whole(t *testing.T, coupon int64, users ...string) bool {
	t.Helper()
	if s.Redis.ZCard(t.Context(), s.key(coupon, "pending")).Val() != 0 {
		return false
	}
	for _, user := range users {
		seq, _, _ := strings.Cut(s.Redis.HGet(t.Context(), s.key(coupon, "holders"), user).Val(), ":")
		if row := s.rowOf(t, coupon, user); row == 0 || seq != strconv.FormatInt(row, 10) {
			return false
		}
	}
	rows := s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon)
	gate := s.Redis.HGetAll(t.Context(), s.key(coupon, "gate")).Val()
	admitted, err := s.Redis.HGet(t.Context(), s.key(coupon, "coupon"), "admitted").Int64()
	return err == nil && gate["st"] == "open" && admitted == rows && rows == int64(len(users)) &&
		gate["epoch"] == strconv.FormatInt(s.Count(t, "SELECT epoch FROM gates WHERE tag = ?", tagOf(coupon)), 10) &&
		rows == s.Count(t, "SELECT issued_count FROM coupons WHERE id = ?", coupon)
}

func tagOf(coupon int64) string { return fmt.Sprintf("c%d", coupon) }

// again asks once more, until there is an answer that promises, and returns the receipt.
func (s scene) again(t *testing.T, api *stack.Proc, coupon int64, user string) stack.Receipt {
	t.Helper()
	var last stack.Answer
	stack.Eventually(t, loadSlack, func() bool {
		var err error
		last, err = s.At(api).Claim(t.Context(), 0, coupon, user)
		return err == nil && last.Accepted()
	}, "%s is promised a place of %d", user, coupon)
	return last.Receipt(t)
}

var claimPoints = []string{
	"claim.read", "claim.found", "claim.grouped", "claim.admitted", "claim.journaled", "claim.confirmed", "claim.answered",
}

// An api dies, or falls asleep, at each step of a claim.
func TestCrashPointsOfAClaim(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	leaves := map[string]state{
		"claim.read": {}, "claim.found": {}, "claim.grouped": {},
		"claim.admitted":  {pending: true},
		"claim.journaled": {pending: true, records: 1},
		"claim.confirmed": {records: 1},
		"claim.answered":  {records: 1},
	}
	type claimCase struct {
		name, point string
		byUser      bool // the user asks again at once; else only when everything is repaired
		coupon      int64
		place       string      // at the gate, after the crash
		api         *stack.Proc // one that sleeps
	}
	var cases []*claimCase
	for _, point := range claimPoints {
		cases = append(cases, &claimCase{name: point, point: point, byUser: true})
	}
	cases = append(cases,
		&claimCase{name: "claim.admitted, its user stays away", point: "claim.admitted"},
		&claimCase{name: "claim.journaled, its user stays away", point: "claim.journaled"})
	for _, point := range []string{"claim.grouped", "claim.admitted", "claim.journaled"} {
		cases = append(cases, &claimCase{name: point + ", asleep", point: point + ":1:stop", byUser: true})
	}
	for _, c := range cases {
		api := s.Doomed(t, "api", nil, c.point, quietAPI)
		c.coupon = s.At(api).Coupon(t, map[string]any{"total_quantity": 5})
		point, _, sleeps := strings.Cut(c.point, ":")
		if sleeps {
			c.api = api
			go func() { _, _ = s.At(api).Claim(t.Context(), 0, c.coupon, "ann") }() // answered when it wakes up, or never
			asleep(t, api, point)
		} else {
			// The end of the last answer's body is lost, its beginning is not.
			answer, err := s.At(api).Claim(t.Context(), 0, c.coupon, "ann")
			killed(t, api, point)
			require.Error(t, err, "an api that died did not finish its answer")
			require.Equal(t, point == "claim.answered", answer.Accepted(), "%s: %d", point, answer.Status)
		}
		st := s.state(t, c.coupon)
		want := leaves[point]
		require.Equal(t, want.pending || want.records > 0, st.place != "", "%s: a place at the gate", c.name)
		want.place = st.place
		require.Equal(t, want, st, "%s leaves", c.name)
		c.point, c.place = point, st.place
	}

	since, procs := s.healthy(t, "api", "consumer", "batch")
	var left []waiting
	for _, c := range cases {
		if c.byUser {
			s.again(t, procs["api"], c.coupon, "ann")
		}
		left = append(left, waiting{c.name, c.point, func() bool { return s.whole(t, c.coupon, "ann") }})
	}
	s.allRepaired(t, since, left)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			receipt := s.again(t, procs["api"], c.coupon, "ann")
			if c.place != "" {
				seq, _, _ := strings.Cut(c.place, ":")
				require.Equal(t, seq, strconv.FormatInt(receipt.Seq, 10), "the place that was decided before the crash")
			}
			if c.api != nil {
				c.api.Wake(t)
				stack.Eventually(t, loadSlack, func() bool { return c.api.Log() != "" && !c.api.Sleeps() }, "awake")
				s.again(t, c.api, c.coupon, "bob") // it works again, behind what it was in the middle of
				s.repaired(t, c.point, time.Now(), func() bool { return s.whole(t, c.coupon, "ann", "bob") }, "whole after the awakening")
				require.Equal(t, receipt, s.again(t, c.api, c.coupon, "ann"), "the same receipt")
			}
			require.Equal(t, receipt.Seq, s.rowOf(t, c.coupon, "ann"))
		})
	}
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
}

var consumerPoints = []string{"consume.read", "consume.written", "consume.committed", "consume.marked", "retry.replayed"}

// A consumer dies at each step of writing, or falls asleep with a transaction open; batch dies in a retry.
func TestCrashPointsOfWriting(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, procs := s.healthy(t, "api")
	api := procs["api"]
	for _, c := range []struct {
		point  string
		row    bool // is there after the crash
		sleeps bool
	}{
		{point: "consume.read"}, {point: "consume.written"}, {point: "consume.committed", row: true}, {point: "consume.marked", row: true},
		{point: "consume.written", sleeps: true},
	} {
		name, how := c.point, ""
		if c.sleeps {
			name, how = c.point+", asleep", ":1:stop"
		}
		t.Run(name, func(t *testing.T) {
			victim := s.Doomed(t, "consumer", nil, c.point+how)
			coupon := s.At(api).Coupon(t, map[string]any{"total_quantity": 5})
			receipt := s.again(t, api, coupon, "ann")
			if c.sleeps {
				asleep(t, victim, c.point)
			} else {
				killed(t, victim, c.point)
			}
			// What is committed waits for nobody; what is only written in a transaction is not seen.
			require.Equal(t, c.row, s.rowOf(t, coupon, "ann") != 0, "%s: a row is left", c.point)
			partition, offset := s.placeInJournal(t, coupon, "ann")
			require.LessOrEqual(t, s.Committed(t)[partition], offset, "%s: the offset is not committed", c.point)

			since := time.Now() // a consumer that is ready has waited for the death of the other one
			_, procs := s.healthy(t, "consumer")
			s.repaired(t, c.point, since, func() bool { return s.whole(t, coupon, "ann") && s.Committed(t)[partition] > offset },
				"whole, and the offset committed")
			require.Equal(t, receipt.Seq, s.rowOf(t, coupon, "ann"))
			if c.sleeps {
				victim.Wake(t)
				stack.Eventually(t, loadSlack, func() bool { return !victim.Sleeps() }, "awake")
				s.again(t, api, coupon, "bob")
				s.repaired(t, c.point, time.Now(), func() bool { return s.whole(t, coupon, "ann", "bob") }, "whole after the awakening")
				victim.Stop(t)
			}
			procs["consumer"].Stop(t) // leaves the group, so that the next one need not wait for its death
			require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
		})
	}
	t.Run("retry.replayed", func(t *testing.T) { s.retryDies(t, api) })
}

// placeInJournal is where the first record of a user lies.
func (s scene) placeInJournal(t *testing.T, coupon int64, user string) (partition int32, offset int64) {
	t.Helper()
	for _, r := range s.Journal(t) {
		if strings.Contains(string(r.Value), fmt.Sprintf(`"coupon_id":%d,"user_id":"%s"`, coupon, user)) {
			return r.Partition, r.Offset
		}
	}
	t.Fatalf("the journal has no record of %s for coupon %d", user, coupon)
	return 0, 0
}

// retryDies: a record that a rebuild overtook is a failed event; batch sends it through the gate and dies before it can
// note that.
func (s scene) retryDies(t *testing.T, api *stack.Proc) {
	coupon := s.At(api).Coupon(t, map[string]any{"total_quantity": 5})
	s.healthy(t, "consumer")
	s.Run(t, "batch", "rebuild", "--force", "--tag", tagOf(coupon)) // epoch 2
	s.Produce(t, 0, "ann", fmt.Appendf(nil,
		`{"v":1,"coupon_id":%d,"user_id":"ann","nth":1,"seq":4,"epoch":1,"accepted_at":"2026-11-20T12:00:00.000123Z"}`, coupon))
	stack.Eventually(t, loadSlack, func() bool {
		return s.Count(t, "SELECT COUNT(*) FROM failed_events WHERE coupon_id = ? AND reason = 'stale_epoch'", coupon) == 1
	}, "the record is a failed event")
	// due makes what batch waits for happen at once: the pause before a retry (10 s), the lease of one that died (5 min).
	due := func() {
		_, err := s.SQL.ExecContext(t.Context(),
			"UPDATE failed_events SET next_attempt_at = created_at, lease_until = NULL, lease_owner = '' WHERE coupon_id = ?", coupon)
		require.NoError(t, err)
	}
	due()
	victim := s.Doomed(t, "batch", []string{"retry"}, "retry.replayed")
	killed(t, victim, "retry.replayed")
	require.EqualValues(t, 1, s.Count(t, "SELECT COUNT(*) FROM failed_events WHERE status = 'waiting' AND lease_until > UTC_TIMESTAMP(6)"),
		"the event waits, leased")
	st := s.state(t, coupon)
	require.NotEmpty(t, st.place)
	require.False(t, st.pending)
	require.Equal(t, 2, st.records, "the overtaken record and the new one")

	require.Contains(t, s.Run(t, "batch", "retry"), "0 due", "another batch leaves it alone while the lease lasts")
	due()
	since := time.Now()
	require.Contains(t, s.Run(t, "batch", "retry"), "1 replayed")
	s.repaired(t, "retry.replayed", since, func() bool { return s.whole(t, coupon, "ann") }, "whole")
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events WHERE status <> 'replayed'"))
	require.Equal(t, s.rowOf(t, coupon, "ann"), s.again(t, api, coupon, "ann").Seq)
}

var sweeperPoints = []string{"sweep.listed", "sweep.looked", "sweep.journaled", "sweep.confirmed"}

// An api dies in its sweeper, while it settles a place that another one left.
func TestCrashPointsOfTheSweeper(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.healthy(t, "consumer")
	for _, point := range sweeperPoints {
		t.Run(point, func(t *testing.T) {
			first := s.Doomed(t, "api", nil, "claim.admitted", quietAPI)
			coupon := s.At(first).Coupon(t, map[string]any{"total_quantity": 5})
			_, err := s.At(first).Claim(t.Context(), 0, coupon, "ann")
			require.Error(t, err)
			killed(t, first, "claim.admitted")
			st := s.state(t, coupon)
			require.True(t, st.pending)
			require.Zero(t, st.records)
			seq, _, _ := strings.Cut(st.place, ":")

			killed(t, s.Doomed(t, "api", nil, point), point)
			st = s.state(t, coupon)
			leased := s.Redis.PTTL(t.Context(), s.key(coupon, "sweeper")).Val() > 0
			require.Equal(t, point != "sweep.confirmed", st.pending, "pending after %s", point)
			require.Equal(t, point == "sweep.journaled" || point == "sweep.confirmed", st.records == 1, "%d records after %s", st.records, point)
			if point == "sweep.looked" {
				require.True(t, leased, "the coupon's lease is left")
			}

			since, procs := s.healthy(t, "api")
			s.repaired(t, point, since, func() bool { return s.whole(t, coupon, "ann") }, "whole without its user")
			require.Equal(t, seq, strconv.FormatInt(s.again(t, procs["api"], coupon, "ann").Seq, 10))
			procs["api"].Stop(t)
		})
	}
	require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
}
