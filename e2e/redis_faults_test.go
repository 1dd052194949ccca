package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// Redis loses something, comes back as something else, or cannot be reached, in the middle of a storm on two apis, two
// consumers and a batch. Every time: nobody hears anything wrong, the coupon sells out exactly, and nobody repairs it.
// Each sale's clients keep what they heard; at the end all of it must be rows.

// One key of a gate is gone: only that gate is shut, and built anew.
func TestOneKeyOfAGateIsGone(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	event := l.Event(t)
	for _, c := range []struct {
		key    string
		fields map[string]any
	}{
		{"gate", nil}, {"coupon:%d", nil}, {"holders:%d", nil}, {"pending:%d", nil}, {"members", map[string]any{"event_id": event}},
	} {
		name := "deleted: " + c.key
		l.undisturbed(t, name, func() {
			s, _ := l.fault(t, name, func(s *sale) {
				key := "fc:{" + s.tag + "}:" + c.key
				if c.key[len(c.key)-1] == 'd' {
					key = fmt.Sprintf(key, s.coupon)
				}
				stack.Eventually(t, drainWithin, func() bool { // nothing pending is no key
					n, err := l.master.Del(t.Context(), key).Result()
					return err == nil && n == 1
				}, "%s is there", key)
			}, c.fields)
			require.EqualValues(t, 2, l.epoch(t, s), "built anew once")
		})
	}
	require.EqualValues(t, 1, l.Count(t, "SELECT epoch FROM gates WHERE tag = ?", fmt.Sprintf("c%d", l.bystander)))
	l.rest(t)
}

// All keys are gone, or some by eviction.
func TestRedisForgets(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx := t.Context()
	l.undisturbed(t, "scripts forgotten", func() {
		s, _ := l.fault(t, "SCRIPT FLUSH", func(*sale) { require.NoError(t, l.master.ScriptFlush(ctx).Err()) }, nil)
		require.EqualValues(t, 1, l.epoch(t, s), "nothing was lost")
	})
	s, _ := l.fault(t, "FLUSHALL", func(*sale) { require.NoError(t, l.master.FlushAll(ctx).Err()) }, nil)
	require.EqualValues(t, 2, l.epoch(t, s))
	s, _ = l.fault(t, "evicted (allkeys-lru)", func(*sale) {
		require.NoError(t, l.master.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err())
		require.NoError(t, l.master.ConfigSet(ctx, "maxmemory", "1").Err())
		stack.Eventually(t, drainWithin, func() bool { return l.master.field(t, "stats", "evicted_keys") != "0" }, "something is evicted")
		require.NoError(t, l.master.ConfigSet(ctx, "maxmemory", "0").Err())
		require.NoError(t, l.master.ConfigSet(ctx, "maxmemory-policy", "noeviction").Err())
	}, nil)
	require.GreaterOrEqual(t, l.epoch(t, s), int64(2))
	l.rest(t)
}

// Redis is killed and starts on what is on its disk: all, nothing, an older copy, the beginning of its log.
func TestRedisStartsOnOtherData(t *testing.T) {
	t.Parallel()
	l := newLab(t, "--appendfsync", "always")
	ctx := t.Context()
	log := filepath.Join(l.master.Dir(), "appendonlydir")
	restart := func(name string, onDisk func(), before func()) {
		s, _ := l.fault(t, name, func(*sale) {
			before()
			require.NoError(t, l.master.Kill())
			onDisk()
			require.NoError(t, l.master.Start(ctx))
		}, nil)
		require.GreaterOrEqual(t, l.epoch(t, s), int64(2), name)
	}
	nothing := func() {}
	restart("killed, starts with all data", nothing, nothing)
	restart("killed, starts empty", func() { require.NoError(t, os.RemoveAll(log)) }, nothing)
	restart("killed, starts on a truncated log", func() {
		files, err := filepath.Glob(filepath.Join(log, "*.incr.aof"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		last := files[len(files)-1]
		info, err := os.Stat(last)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(last, info.Size()*6/10))
	}, nothing)
	old := filepath.Join(t.TempDir(), "old.rdb")
	restart("killed, starts on an old copy (RDB)", func() {
		// What a restore does: the old copy is the base, and there is no log after it.
		require.NoError(t, os.RemoveAll(log))
		require.NoError(t, os.Mkdir(log, 0o700))
		copyFile(t, old, filepath.Join(log, "appendonly.aof.1.base.rdb"))
		manifest := []byte("file appendonly.aof.1.base.rdb seq 1 type b\n")
		require.NoError(t, os.WriteFile(filepath.Join(log, "appendonly.aof.manifest"), manifest, 0o600))
	}, func() {
		require.NoError(t, l.master.Save(ctx).Err())
		copyFile(t, filepath.Join(l.master.Dir(), "dump.rdb"), old)
		c := l.sales[len(l.sales)-1]
		c.until(t, l, 0, "later-than-the-copy")
	})
	l.rest(t)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o600)) //nolint:gosec // likewise
}

// Redis is away, slow, deaf, or its connections are not what they seem. Nothing is lost, so nothing is rebuilt, unless it
// was started anew.
func TestRedisCannotBeReached(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	// Longer than a call to Redis is waited for, so that every api has met it.
	const length = 2500 * time.Millisecond
	pass := func() { <-time.After(length) }
	met := func() { require.Positive(t, l.way.Affected(), "the fault met somebody") }
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"connections cut", func() { l.way.Cut(); pass() }},
		{"no byte passes", func() { l.way.Stall(); pass() }},
		{"replies are lost", func() { l.way.DropReplies(); pass() }},
		{"connections half closed", func() { l.way.HalfClose() }},
		{"slow: 300 ms a call", func() { l.way.Delay(150 * time.Millisecond); pass() }},
		{"slower than anybody waits: 3 s a call", func() { l.way.Delay(1500 * time.Millisecond); pass() }},
	} {
		s, _ := l.fault(t, c.name, func(*sale) { c.do(); met(); l.way.Heal() }, nil)
		require.EqualValues(t, 1, l.epoch(t, s), "%s: nothing was lost", c.name)
	}
	s, _ := l.fault(t, "stopped and resumed (SIGSTOP)", func(*sale) {
		require.NoError(t, l.master.Pause())
		pass()
		require.NoError(t, l.master.Resume())
	}, nil)
	require.EqualValues(t, 1, l.epoch(t, s))
	s, _ = l.fault(t, "down for 2.5 s and up", func(*sale) {
		require.NoError(t, l.master.Stop(t.Context()))
		pass()
		require.NoError(t, l.master.Start(t.Context()))
	}, nil)
	require.GreaterOrEqual(t, l.epoch(t, s), int64(2))
	l.rest(t)
}
