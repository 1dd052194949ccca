package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/firstcome/firstcome/core/reconcile"
	"github.com/firstcome/firstcome/core/support/config"
)

// closeTimeout bounds the end of a run: the desk's and the journal's last answers (2 s) and closing connections.
const closeTimeout = 10 * time.Second

// RebuildRequest says which gates to rebuild.
type RebuildRequest struct {
	Tags  []string // c<coupon id>, e<event id>; empty: all
	Force bool     // also those that are sound, and those that another process has leased
}

// ErrStillShut says that some gates could not be opened; the line beside it tells how many.
var ErrStillShut = errors.New("some gates are still shut")

// Rebuild brings lost gates back once. did is one line of what it did.
func Rebuild(ctx context.Context, cfg config.Config, opts Options, req RebuildRequest) (did string, err error) {
	t, err := openTools(ctx, cfg, opts.withDefaults())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	return t.rebuild(ctx, req)
}

// Retry sends the failed events that are due through the gate once. did is one line of what it did.
func Retry(ctx context.Context, cfg config.Config, opts Options, limit int) (did string, err error) {
	t, err := openTools(ctx, cfg, opts.withDefaults())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	return t.retry(ctx, limit)
}

// rebuild looks for gates that are not sound, or behind the database's epoch, and rebuilds them.
func (t *tools) rebuild(ctx context.Context, req RebuildRequest) (did string, err error) {
	var wanted map[string]bool
	if len(req.Tags) > 0 {
		wanted = make(map[string]bool, len(req.Tags))
		for _, tag := range req.Tags {
			wanted[tag] = true
		}
	}
	f, err := looker{live: t.refs, gates: t.gate, fences: t.book}.look(ctx, wanted, req.Force)
	switch {
	case err != nil:
		return "", err
	case f.unknown > 0 && len(f.tags) == 0:
		return "", fmt.Errorf("%d of %d gates could not be asked: %w", f.unknown, f.asked, f.lastErr)
	case f.asked == 0 && wanted != nil:
		return "", fmt.Errorf("no coupon on sale has the tag %s; a tag is c<coupon id>, or e<event id> for a coupon of an event",
			strings.Join(req.Tags, " or "))
	case len(f.tags) == 0:
		return fmt.Sprintf("rebuild: all gates of %d coupons are sound, nothing to do", f.asked), nil
	}
	report, err := t.rebuilder.Rebuild(ctx, f.tags, req.Force)
	did = "rebuild: " + report.String()
	if err == nil && report.Count(reconcile.Failed) > 0 {
		err = ErrStillShut
	}
	return did, err
}

// retry sends failed events that are due through the gate.
func (t *tools) retry(ctx context.Context, limit int) (did string, err error) {
	report, err := t.retrier.Run(ctx, limit)
	return "retry: " + report.String(), err
}

// changes completes changes that were left half done.
func (t *tools) changes(ctx context.Context) (did string, err error) {
	n, err := t.publisher.Finish(ctx)
	if n > 0 {
		did = fmt.Sprintf("changes: completed %d that were left half done", n)
	}
	return did, err
}
