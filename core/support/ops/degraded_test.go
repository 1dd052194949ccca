package ops_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/firstcome/firstcome/core/support/ops"
)

func TestWhatIsDegradedIsNamedAndStaysReady(t *testing.T) {
	t.Parallel()
	s := newServer()
	down := errors.New("connection refused")
	s.Add("database", func(context.Context) error { return &ops.DegradedError{Err: down} }, false)
	status, h := ask(t, s, "/readyz")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, []ops.Result{{Name: "database", OK: true, Degraded: true, Reason: "connection refused"}}, h.Checks)
	assert.ErrorIs(t, &ops.DegradedError{Err: down}, down)
}
