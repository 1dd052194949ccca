package reconcile_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/reconcile"
)

// noting are tools that note in which order they were used.
func noting(used *[]string) reconcile.Tools {
	note := func(what string) { *used = append(*used, what) }
	return reconcile.Tools{
		Finish: func(context.Context) (int, error) { note("changes"); return 1, nil },
		Sweep:  func(context.Context) (int, int, error) { note("sweep"); return 1, 1, nil },
		Judge:  func(context.Context, reconcile.JournalRecord) error { note("judge"); return nil },
		Append: func(context.Context, coupon.Place) error { note("append"); return nil },
		Replay: func(_ context.Context, p coupon.Place) (coupon.Verdict, error) {
			note("replay")
			if p.UserID == "late" {
				return coupon.SoldOut, nil
			}
			return coupon.Holder, nil
		},
		Rebuild: func(_ context.Context, tags []string) (reconcile.Report, error) {
			var r reconcile.Report
			for _, tag := range tags {
				note("rebuild " + tag)
				r.Tags = append(r.Tags, reconcile.TagReport{Tag: tag, Outcome: reconcile.Opened})
			}
			return r, nil
		},
		Recount: func(context.Context, int64) (int64, int64, error) { note("recount"); return 2, 1, nil },
		Retry: func(context.Context) (reconcile.RetryReport, error) {
			note("retry")
			return reconcile.RetryReport{}, nil
		},
		Fence: func(context.Context) error { return nil },
	}
}

func TestRepairsComeInTheOrderInWhichNoneSpoilsAnother(t *testing.T) {
	t.Parallel()
	var used []string
	done, err := reconcile.Mend(t.Context(), noting(&used), reconcile.Damage{
		Changes: true, Pending: true, Overdue: true, Records: make([]reconcile.JournalRecord, 1), Unlogged: make([]coupon.Place, 1),
		Promised: make([]coupon.Place, 1), Tags: []string{"c2", "c1", "c2", "c3"}, Counters: []int64{7},
		Keep: map[string]error{"c3": errors.New("evidence")},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"changes", "judge", "sweep", "append", "replay", "rebuild c1", "rebuild c2", "recount", "retry"}, used,
		"a rebuild before the journal has them would forget holders; the gate that is evidence stays")
	require.Len(t, done, 10)
	require.ErrorContains(t, done[5].Err, "evidence")
}

func TestARefusedPromiseIsSaid(t *testing.T) {
	t.Parallel()
	var used []string
	done, err := reconcile.Mend(t.Context(), noting(&used), reconcile.Damage{Promised: []coupon.Place{{UserID: "late"}, {UserID: "ann"}}})
	require.NoError(t, err)
	require.ErrorContains(t, done[0].Err, "sold_out")
	require.NoError(t, done[1].Err)
}

func TestWhoHasLostTheLeaseRepairsNothingMore(t *testing.T) {
	t.Parallel()
	var used []string
	tools := noting(&used)
	asked := 0
	lost := errors.New("another one has it")
	tools.Fence = func(context.Context) error {
		if asked++; asked > 2 {
			return lost
		}
		return nil
	}
	_, err := reconcile.Mend(t.Context(), tools, reconcile.Damage{Changes: true, Records: make([]reconcile.JournalRecord, 1), Counters: []int64{7}})
	require.ErrorIs(t, err, lost)
	require.Equal(t, []string{"changes", "judge"}, used)
}
