package demo

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

const topic = "issues"

// planted is a ledger and a journal with what a test wrote there. The tables have only the columns that the audit
// reads and none of the constraints that would refuse what is planted.
type planted struct {
	path  string
	db    *sql.DB
	kafka *kfake.Cluster
	send  *kgo.Client

	promises map[claimID]int64 // of what stands in both
}

func plant(t *testing.T) *planted {
	t.Helper()
	p := &planted{path: filepath.Join(t.TempDir(), "ledger.db"), promises: map[claimID]int64{}}
	var err error
	p.db, err = sql.Open("sqlite", p.path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.db.Close()) })
	p.exec(t, `CREATE TABLE coupons (id INTEGER, event_id INTEGER, total_quantity INTEGER, per_user_limit INTEGER, issued_count INTEGER);
		CREATE TABLE issues (coupon_id INTEGER, user_id TEXT, nth INTEGER, seq INTEGER);
		CREATE TABLE failed_events (id INTEGER)`)
	p.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topic))
	require.NoError(t, err)
	t.Cleanup(p.kafka.Close)
	p.send, err = kgo.NewClient(kgo.SeedBrokers(p.kafka.ListenAddrs()...), kgo.DefaultProduceTopic(topic))
	require.NoError(t, err)
	t.Cleanup(p.send.Close)
	return p
}

func (p *planted) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	_, err := p.db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

func (p *planted) coupon(t *testing.T, id, event, total, limit, counter int64) {
	t.Helper()
	p.exec(t, `INSERT INTO coupons VALUES (?, NULLIF(?, 0), NULLIF(?, 0), ?, ?)`, id, event, total, limit, counter)
}

func (p *planted) row(t *testing.T, of claimID, seq int64) {
	t.Helper()
	p.exec(t, `INSERT INTO issues VALUES (?, ?, ?, ?)`, of.coupon, of.user, of.nth, seq)
}

func (p *planted) record(t *testing.T, of claimID, seq int64) {
	t.Helper()
	value := fmt.Sprintf(`{"v":1,"coupon_id":%d,"user_id":%q,"nth":%d,"seq":%d,"epoch":1,"accepted_at":"2026-11-20T12:00:00.000123Z"}`,
		of.coupon, of.user, of.nth, seq)
	err := p.send.ProduceSync(t.Context(), &kgo.Record{Key: []byte(of.user), Value: []byte(value)}).FirstErr()
	require.NoError(t, err)
}

func (p *planted) both(t *testing.T, of claimID, seq int64) {
	t.Helper()
	p.record(t, of, seq)
	p.row(t, of, seq)
	p.promises[of] = seq
}

// judge reads the books as the demo does, with users who were promised these.
func (p *planted) judge(t *testing.T, promises map[claimID]int64, soldOut ...int64) verdict {
	t.Helper()
	a, err := newAuditor(p.path, p.kafka.ListenAddrs(), topic)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.close()) }()
	s := newStorm(nil, crowd.Crowd{}, nil, nil, nil)
	s.promises = promises
	for _, id := range soldOut {
		s.soldOut[id] = true
	}
	b, err := a.read(t.Context(), s.soldOut)
	require.NoError(t, err)
	return judge(s, b, time.Second)
}

// found are the findings that are not 0.
func (v verdict) found() map[string]int {
	found := map[string]int{}
	for _, f := range v.findings {
		if f.count != 0 {
			word, _, _ := strings.Cut(f.name, " (")
			found[word] = f.count
		}
	}
	return found
}

func TestBooksThatAgreeAreAccepted(t *testing.T) {
	t.Parallel()
	p := plant(t)
	p.coupon(t, 1, 0, 2, 1, 2)
	p.coupon(t, 2, 0, 0, 3, 2) // unlimited, three a user
	promises := map[claimID]int64{{1, "alice", 1}: 1, {1, "bob", 1}: 2, {2, "alice", 1}: 1, {2, "alice", 2}: 2}
	for of, seq := range promises {
		p.both(t, of, seq)
	}
	p.record(t, claimID{1, "alice", 1}, 1) // journaled twice: a duplicate, no harm
	v := p.judge(t, promises, 1)
	assert.Empty(t, v.found())
	assert.True(t, v.holds())
	assert.Equal(t, []int{4, 4, 4}, []int{v.promised, v.journaled, v.issued})
}

// Each corruption is planted alone, and the verdict finds just it.
func TestTheVerdictFindsWhatWasPlanted(t *testing.T) {
	t.Parallel()
	alice, bob := claimID{1, "alice", 1}, claimID{1, "bob", 1}
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, p *planted)
		sold  []int64
		want  map[string]int
	}{
		{"a row above the quantity", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 0, 1, 1, 2)
			p.both(t, alice, 1)
			p.both(t, bob, 2)
		}, nil, map[string]int{"over-issued": 1}},
		{"two rows of one user", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 0, 9, 1, 2)
			p.both(t, alice, 1)
			p.both(t, claimID{1, "alice", 2}, 2)
		}, nil, map[string]int{"doubled": 1}},
		{"two coupons of one event", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 5, 9, 1, 1)
			p.coupon(t, 2, 5, 9, 1, 1)
			p.both(t, alice, 1)
			p.both(t, claimID{2, "alice", 1}, 1)
		}, nil, map[string]int{"doubled": 1}},
		{"one number twice", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 0, 9, 1, 2)
			p.both(t, alice, 1)
			p.both(t, bob, 1)
		}, nil, map[string]int{"one number for two users": 1}},
		{"a row that nobody asked for", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 0, 9, 1, 2)
			p.both(t, alice, 1)
			p.row(t, bob, 2)
		}, nil, map[string]int{"never asked for": 1}},
		{"a counter that is off", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 0, 9, 1, 3)
			p.both(t, alice, 1)
		}, nil, map[string]int{"counters that are off": 1}},
		{"refused with places left", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 0, 9, 1, 1)
			p.both(t, alice, 1)
		}, []int64{1}, map[string]int{"sold out with places left": 1}},
		{"a failed event", func(t *testing.T, p *planted) {
			p.coupon(t, 1, 0, 9, 1, 1)
			p.both(t, alice, 1)
			p.exec(t, `INSERT INTO failed_events VALUES (1)`)
		}, nil, map[string]int{"records that could not be booked": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := plant(t)
			c.plant(t, p)
			v := p.judge(t, p.promises, c.sold...)
			assert.Equal(t, c.want, v.found())
			assert.False(t, v.holds())
		})
	}
}

func TestALostPromiseIsFoundWhereverItWasLost(t *testing.T) {
	t.Parallel()
	p := plant(t)
	p.coupon(t, 1, 0, 9, 1, 2)
	p.both(t, claimID{1, "alice", 1}, 1)
	p.both(t, claimID{1, "carol", 1}, 3)
	v := p.judge(t, map[claimID]int64{
		{1, "alice", 1}: 1,
		{1, "bob", 1}:   2, // in neither book
		{1, "carol", 1}: 4, // promised another number
	})
	assert.Equal(t, map[string]int{"lost": 2}, v.found())
	assert.False(t, v.holds())
	var out strings.Builder
	v.print(&out, false)
	assert.Contains(t, out.String(), "lost: bob at coupon 1 was promised number 2")
	assert.Contains(t, out.String(), "verdict: BROKEN")
}
