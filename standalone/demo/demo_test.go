package demo_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/logging/logtest"
	"github.com/firstcome/firstcome/standalone/demo"
	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

func settings(t *testing.T) config.Config {
	t.Helper()
	cfg, err := config.Load(config.Standalone, config.LoadOptions{Env: []string{
		"FIRSTCOME_HTTP_ADDR=127.0.0.1:0", "FIRSTCOME_OPS_ADDR=127.0.0.1:0",
	}})
	require.NoError(t, err)
	return cfg
}

var folder = regexp.MustCompile(`data (\S+/firstcome-demo-\d+)/data`)

func TestTheDemoKeepsEveryPromiseAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	out := &logtest.Buffer{}
	err := demo.Run(t.Context(), settings(t), demo.Options{
		Crowd: crowd.Options{Seed: 42, Coupons: 70, Users: 400}, Exit: true, Out: out, Started: time.Now(),
	})
	require.NoError(t, err, out.String())
	for _, part := range []string{
		"published 70 coupons of 12 vendors", "seed 42", "the first accepted claim came", "202 accepted", "409 sold_out",
		"accepted (promised to a user)", "in Kafka", "in the ledger", "over-issued", "p99", "verdict: ok",
	} {
		assert.Contains(t, out.String(), part)
	}
	assert.NotContains(t, out.String(), "BROKEN")
	at := folder.FindStringSubmatch(out.String())
	require.Len(t, at, 2, out.String())
	_, err = os.Stat(at[1])
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheDemoKeepsServingAndItsLinesWork(t *testing.T) {
	t.Parallel()
	out := &logtest.Buffer{}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- demo.Run(ctx, settings(t), demo.Options{
			Crowd: crowd.Options{Seed: 7, Coupons: 40, Users: 100}, Out: out, Started: time.Now(),
		})
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "what it measures") || len(done) > 0 },
		time.Minute, 20*time.Millisecond)
	claim := regexp.MustCompile(`curl -s -X POST -H 'Authorization: (\S+ \S+)' (http\S+/issues)`).FindStringSubmatch(out.String())
	require.Len(t, claim, 3, out.String())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, claim[2], nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", claim[1])
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusAccepted, resp.StatusCode)

	cancel(lifecycle.ErrSignal)
	require.NoError(t, <-done, "Ctrl-C after the verdict is no failure")
}

func TestADemoThatIsInterruptedSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &logtest.Buffer{}
	done := make(chan error, 1)
	go func() {
		done <- demo.Run(ctx, settings(t), demo.Options{Crowd: crowd.Options{Seed: 7}, Exit: true, Out: out, Started: time.Now()})
	}()
	require.Eventually(t, func() bool { return folder.MatchString(out.String()) }, time.Minute, 5*time.Millisecond)
	cancel(lifecycle.ErrSignal)
	require.ErrorIs(t, <-done, lifecycle.ErrSignal)
	_, err := os.Stat(folder.FindStringSubmatch(out.String())[1])
	assert.ErrorIs(t, err, os.ErrNotExist)
}
