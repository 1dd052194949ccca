package stack

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/servers"
)

// Own starts a server that belongs to the test, which may kill it, and ends it with the test:
//
//	redis := stack.Own(t)(servers.NewRedis(filepath.Join(t.TempDir(), "redis")))
//
// It is for the run on real servers: without make test-real the test is skipped, and with it a program that is not on
// this machine is a failure, because make services has brought them all.
func Own(t *testing.T) func(*servers.Server, error) *servers.Server {
	t.Helper()
	return func(s *servers.Server, err error) *servers.Server {
		t.Helper()
		return OwnAll(t)([]*servers.Server{s}, err)[0]
	}
}

// OwnAll is Own for servers that have to start at the same time, because one alone has no quorum.
func OwnAll(t *testing.T) func([]*servers.Server, error) []*servers.Server {
	t.Helper()
	return func(all []*servers.Server, err error) []*servers.Server {
		t.Helper()
		if os.Getenv("FIRSTCOME_KAFKA_BROKERS") == "" {
			t.Skip("starts real servers: FIRSTCOME_KAFKA_BROKERS is not set (make test-real sets it)")
		}
		require.NoError(t, err)
		errs := make([]error, len(all))
		var starting sync.WaitGroup
		for i, s := range all {
			t.Cleanup(func() {
				require.NoError(t, s.Close())
				if t.Failed() {
					log := s.Log()
					t.Logf("--- the server at %s said:\n%s", s.Addr(), log[max(0, len(log)-16<<10):])
				}
			})
			starting.Go(func() { errs[i] = s.Start(t.Context()) })
		}
		starting.Wait()
		require.NoError(t, errors.Join(errs...))
		return all
	}
}
