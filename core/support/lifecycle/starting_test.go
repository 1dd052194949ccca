package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/lifecycle"
)

func TestAStartWaitsForServersThatAreAwayAndSaysForWhat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &lifecycle.Starting{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		require.ErrorContains(t, s.Check(t.Context()), "starting")
		tries := 0
		require.NoError(t, s.Until(t.Context(), lifecycle.Away, func(context.Context) error {
			if tries++; tries < 25 {
				return fmt.Errorf("database: %w", syscall.ECONNREFUSED)
			}
			return nil
		}))
		assert.Equal(t, 25, tries)
		require.ErrorIs(t, s.Check(t.Context()), syscall.ECONNREFUSED, "until the start is over")
		s.Done()
		require.NoError(t, s.Check(t.Context()))
	})
}

func TestAStartEndsAtOnceOnWhatWaitingDoesNotHeal(t *testing.T) {
	t.Parallel()
	s := &lifecycle.Starting{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	wrong := errors.New("wrong password")
	require.ErrorIs(t, s.Until(t.Context(), lifecycle.Away, func(context.Context) error { return wrong }), wrong)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Until(ctx, lifecycle.Away, func(context.Context) error { cancel(); return syscall.ECONNREFUSED })
	require.ErrorIs(t, err, context.Canceled, "it is to stop")
}
