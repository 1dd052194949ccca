package redisgate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/coupon"
)

// These tests start, kill and promote servers of their own. They need the redis-server program and nothing else.

// process is one redis-server.
type process struct {
	t      *testing.T
	args   []string
	port   string
	client *redis.Client
	cmd    *exec.Cmd
}

func startRedis(t *testing.T, args ...string) *process {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on this machine to start and kill")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once: it only finds a free port
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	own := []string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir()}
	p := &process{t: t, port: port, args: append(args, own...)}
	p.client = redis.NewClient(&redis.Options{Addr: p.addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() {
		p.kill()
		require.NoError(t, p.client.Close())
	})
	p.start()
	return p
}

func (p *process) addr() string { return "127.0.0.1:" + p.port }

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.CommandContext(context.WithoutCancel(p.t.Context()), "redis-server", p.args...) //nolint:gosec // a test's own server
	require.NoError(p.t, p.cmd.Start())
	require.Eventually(p.t, func() bool { return p.client.Ping(p.t.Context()).Err() == nil }, 10*time.Second, 20*time.Millisecond)
}

func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // and was killed
	p.cmd = nil
}

// info is a field of INFO, empty while the server does not answer.
func (p *process) info(section, field string) string {
	found := regexp.MustCompile(field + `:(\S+)`).FindStringSubmatch(p.client.Info(p.t.Context(), section).Val())
	if len(found) != 2 {
		return ""
	}
	return found[1]
}

// follow makes p a replica of master and waits until it has everything.
func (p *process) follow(master *process) {
	p.t.Helper()
	require.NoError(p.t, p.client.ReplicaOf(p.t.Context(), "127.0.0.1", master.port).Err())
	require.Eventually(p.t, func() bool { return p.info("replication", "master_link_status") == "up" }, 10*time.Second, 20*time.Millisecond)
}

func (p *process) lead() {
	p.t.Helper()
	require.NoError(p.t, p.client.ReplicaOf(p.t.Context(), "no", "one").Err())
}

// sale is a gate with one coupon.
type sale struct {
	*redisgate.Gate
	t   *testing.T
	ref coupon.Ref
}

func sell(t *testing.T, cfg redisgate.Config) sale {
	t.Helper()
	g, err := redisgate.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	s := sale{Gate: g, t: t, ref: coupon.Ref{Tag: "c5", CouponID: 5, PerUserLimit: 1}}
	s.open(1)
	return s
}

// has waits until a replica has the place that was given.
func (p *process) has(s sale) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		return p.client.HLen(p.t.Context(), "fc:{"+s.ref.Tag+"}:holders:5").Val() == 1
	}, 20*time.Second, 20*time.Millisecond)
}

func (s sale) open(epoch int64, rows ...coupon.Place) {
	s.t.Helper()
	m := s.Mark(s.t.Context(), []coupon.Mark{{Tag: s.ref.Tag, Epoch: epoch}})[0]
	require.NoError(s.t, m.Err)
	require.NoError(s.t, s.LoadRows(s.t.Context(), m.Mark, s.ref, rows))
	c := coupon.OpeningCoupon{Ref: s.ref, Terms: openTerms(), Holders: int64(len(rows)), LastSeq: int64(len(rows))}
	require.NoError(s.t, s.Open(s.t.Context(), []coupon.Opening{{Mark: m.Mark, Coupons: []coupon.OpeningCoupon{c}}})[0])
}

func (s sale) ask(user string) (coupon.Verdict, error) {
	answer := s.Admit(s.t.Context(), []admission.Call{{Ref: s.ref, Asks: []admission.Ask{{UserID: user}}}})[0]
	if answer.Err != nil {
		return 0, answer.Err
	}
	return answer.Decisions[0].Verdict, nil
}

// foreign says that the gate decides nothing, for holders neither, until a rebuild, and decides after it.
func (s sale) foreign() {
	s.t.Helper()
	for _, user := range []string{"holder", "new"} {
		_, err := s.ask(user)
		var unsound *coupon.UnsoundError
		require.ErrorAs(s.t, err, &unsound)
		require.Equal(s.t, coupon.WhyForeign, unsound.Why)
	}
	s.open(2, coupon.Place{UserID: "holder", Nth: 1, Seq: 1, AcceptedAt: time.Now()})
	verdict, err := s.ask("holder")
	require.NoError(s.t, err)
	require.Equal(s.t, coupon.Holder, verdict)
}

func TestARestartIsNoticed(t *testing.T) {
	t.Parallel()
	p := startRedis(t, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	s := sell(t, redisgate.Config{Addrs: []string{p.addr()}})
	verdict, err := s.ask("holder")
	require.NoError(t, err)
	require.Equal(t, coupon.Admitted, verdict)

	p.kill()
	_, err = s.ask("new")
	require.Error(t, err)
	require.NotErrorIs(t, err, coupon.ErrUnsound, "a server that does not answer may have decided")
	p.start()
	require.Equal(t, "open", p.client.HGet(t.Context(), "fc:{c5}:gate", "st").Val(), "the data is back")
	require.EqualValues(t, 1, p.client.HLen(t.Context(), "fc:{c5}:holders:5").Val())
	s.foreign()
}

// The run id is the same all the time, and the data may be that of the replica that lagged behind.
func TestFailoverAndBackIsNoticed(t *testing.T) {
	t.Parallel()
	first, second := startRedis(t, "--repl-diskless-sync-delay", "0"), startRedis(t)
	second.follow(first)
	s := sell(t, redisgate.Config{Addrs: []string{first.addr()}})
	_, err := s.ask("holder")
	require.NoError(t, err)
	second.has(s)
	run, reign := first.info("server", "run_id"), first.info("replication", "master_replid")

	second.lead()
	first.follow(second)
	first.lead()
	require.NotEmpty(t, run)
	require.Equal(t, run, first.info("server", "run_id"))
	require.NotEqual(t, reign, first.info("replication", "master_replid"))
	require.Equal(t, "open", first.client.HGet(t.Context(), "fc:{c5}:gate", "st").Val())
	s.foreign()
}

func TestAPromotedReplicaIsAnotherServer(t *testing.T) {
	t.Parallel()
	first, second := startRedis(t, "--repl-diskless-sync-delay", "0"), startRedis(t)
	second.follow(first)
	s := sell(t, redisgate.Config{Addrs: []string{first.addr()}})
	_, err := s.ask("holder")
	require.NoError(t, err)
	second.has(s)
	g, err := redisgate.Open(t.Context(), redisgate.Config{Addrs: []string{second.addr()}}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	s.Gate = g
	_, err = s.ask("new")
	require.Error(t, err, "a replica decides nothing")
	second.lead()
	s.foreign()
}

// Without memory a script's first write is refused, and nothing is half done.
func TestOutOfMemoryDecidesNothing(t *testing.T) {
	t.Parallel()
	p := startRedis(t)
	s := sell(t, redisgate.Config{Addrs: []string{p.addr()}})
	_, err := s.ask("holder")
	require.NoError(t, err)
	require.NoError(t, p.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	_, err = s.ask("new")
	require.ErrorContains(t, err, "OOM")
	require.NotErrorIs(t, err, coupon.ErrUnsound)
	verdict, err := s.ask("holder")
	require.NoError(t, err, "who has a place is told without a write")
	require.Equal(t, coupon.Pending, verdict)
	require.NoError(t, p.client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	view := s.Views(t.Context(), []coupon.Ref{s.ref})[0]
	require.NoError(t, view.Err)
	require.EqualValues(t, 1, view.View.Taken)
	verdict, err = s.ask("new")
	require.NoError(t, err)
	require.Equal(t, coupon.Admitted, verdict)
}

// What would show as an error of every call is found at the start.
func TestOpenLooksAtTheServer(t *testing.T) {
	t.Parallel()
	node := startRedis(t, "--cluster-enabled", "yes")
	_, err := redisgate.Open(t.Context(), redisgate.Config{Addrs: []string{node.addr()}}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "redis.mode")
	single := startRedis(t)
	_, err = redisgate.Open(t.Context(), redisgate.Config{Mode: redisgate.ModeCluster, Addrs: []string{single.addr()}},
		slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "redis.mode")
	_, err = redisgate.Open(t.Context(), redisgate.Config{Addrs: []string{single.addr()}, DB: 99}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "redis.db")
}

// Behind sentinels the gate follows the master, and the new one is another server.
func TestSentinelFailoverIsNoticed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a sentinel looks at its replicas every ten seconds")
	}
	first, second := startRedis(t, "--repl-diskless-sync-delay", "0"), startRedis(t)
	second.follow(first)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor sale 127.0.0.1 %s 1\nsentinel down-after-milliseconds sale 1000\n", first.port)
	require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	sentinel := startRedis(t, conf, "--sentinel")
	require.Eventually(t, func() bool { // it has found the replica
		replicas, err := sentinel.client.Do(t.Context(), "sentinel", "replicas", "sale").Slice()
		return err == nil && len(replicas) == 1
	}, 15*time.Second, 100*time.Millisecond)
	s := sell(t, redisgate.Config{Mode: redisgate.ModeSentinel, Addrs: []string{sentinel.addr()}, MasterName: "sale"})
	_, err := s.ask("holder")
	require.NoError(t, err)
	second.has(s)

	require.Eventually(t, func() bool { // refused until it has asked the replica how it is
		return sentinel.client.Do(t.Context(), "sentinel", "failover", "sale").Err() == nil
	}, 30*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool { return second.info("replication", "role") == "master" }, 15*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { // until the client has followed
		_, err := s.ask("new")
		return errors.Is(err, coupon.ErrUnsound)
	}, 15*time.Second, 50*time.Millisecond)
	s.foreign()
}
