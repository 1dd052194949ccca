package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/batch"
	"github.com/firstcome/firstcome/core/audit"
	"github.com/firstcome/firstcome/core/support/config"
)

type mend func(cmd *cobra.Command, cfg config.Config, opts batch.Options, req batch.VerifyRequest) (batch.Reconciled, error)

func newReconcile(load loader) *cobra.Command {
	return mending(load, &cobra.Command{
		Use:   "reconcile",
		Short: "Repair what verify finds and can be repaired",
		Long: `Compare database, log and gates as "batch verify" does, repair what can be repaired by the product's own ways, and
compare again: half-done changes are completed, pending and lost places go into the journal, records that left no trace
are judged again, gates are rebuilt, counters counted, failed events retried. It says what it did, and what a person must
decide. Several at once do no harm; a lease keeps them apart. "batch serve" does it every batch.reconcile_every (10m).

Status: 0 all is right now, 1 something remains, 2 one of the three could not be looked at.`,
		Example: `  batch reconcile
  batch reconcile --settle 10s`,
	}, func(cmd *cobra.Command, cfg config.Config, opts batch.Options, req batch.VerifyRequest) (batch.Reconciled, error) {
		return batch.Reconcile(cmd.Context(), cfg, opts, req)
	})
}

func newRepublish(load loader) *cobra.Command {
	dryRun := false
	cmd := mending(load, &cobra.Command{
		Use:   "republish",
		Short: "Put back into the log what is pending or missing there",
		Long: `Put into the journal what the gates or the database have and it has not: places that are pending for long (and have
them confirmed), settled holders and rows without a record, promised records without a row. Running it twice makes
duplicates at most, which the consumers know.

Status: 0 all is right now, 1 something remains ("batch reconcile" may repair it), 2 could not look.`,
		Example: `  batch republish --dry-run
  batch republish`,
	}, func(cmd *cobra.Command, cfg config.Config, opts batch.Options, req batch.VerifyRequest) (batch.Reconciled, error) {
		return batch.Republish(cmd.Context(), cfg, opts, req, dryRun)
	})
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	return cmd
}

// mending makes a command that verifies, repairs and verifies again.
func mending(load loader, cmd *cobra.Command, run mend) *cobra.Command {
	req := batch.VerifyRequest{}
	cmd.Args = noArgs
	cmd.Flags().DurationVar(&req.Settle, "settle", batch.DefaultSettle, "how long work in flight is waited for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if req.Settle < 0 || req.Settle > maxSettle {
			return misused(cmd, errors.New("--settle must be from 0s to 1h"))
		}
		cfg, log, err := load()
		if err != nil {
			return err
		}
		req.Progress = progress(cmd.ErrOrStderr())
		r, err := run(cmd, cfg, batch.Options{Log: log}, req)
		var blind *audit.BlindError
		if errors.As(err, &blind) {
			return err
		}
		for _, d := range r.Done {
			if _, errPrint := fmt.Fprintln(cmd.OutOrStdout(), d); errPrint != nil {
				return errors.Join(err, errPrint)
			}
		}
		if err != nil && !errors.Is(err, batch.ErrRemains) {
			return err
		}
		_, errPrint := io.WriteString(cmd.OutOrStdout(), reportText(r.After))
		return errors.Join(err, errPrint)
	}
	return cmd
}
