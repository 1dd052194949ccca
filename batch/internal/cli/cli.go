// Package cli is the command line of batch.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/batch"
	"github.com/firstcome/firstcome/core/audit"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/core/support/ops"
)

// Exit statuses.
const (
	ExitOK     = 0
	ExitFailed = 1 // the job could not be done, or not all of it
	ExitUsage  = 2 // the command line or the configuration cannot be used; nothing was done
	ExitBlind  = 2 // doctor, verify, reconcile: could not look at everything
)

// usageError is a command line or a configuration that cannot be used.
type usageError struct{ error }

// misused is a usageError of a command line: whoever mistyped wants the one line, and where the rest is to be read.
func misused(cmd *cobra.Command, err error) error {
	return &usageError{fmt.Errorf("batch: %w; see %s --help", err, cmd.CommandPath())}
}

// Process is what a command has around it.
type Process struct {
	Out io.Writer // the one line of what it did
	Err io.Writer // logs and errors
	Env []string  // as of os.Environ; nil: os.Environ()

	// Logging is told the log when the settings are read, before anything else is done; nil: nobody needs to know.
	Logging func(*slog.Logger)
}

// Run runs the command line and returns the exit status.
func Run(ctx context.Context, args []string, in Process) int {
	root := newRoot(in)
	root.SetArgs(args)
	root.SetOut(in.Out)
	root.SetErr(in.Err)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	var blind *audit.BlindError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &blind):
		_, _ = fmt.Fprintln(in.Err, "batch:", err)
		return ExitBlind
	case errors.As(err, &usage):
		_, _ = fmt.Fprintln(in.Err, err) // nobody is left to tell that this failed
		return ExitUsage
	case errors.Is(err, errBlind):
		_, _ = fmt.Fprintln(in.Err, "batch:", err)
		return ExitBlind
	default:
		_, _ = fmt.Fprintln(in.Err, "batch:", err)
		return ExitFailed
	}
}

const about = `batch puts right what the others left. Every job may be killed anywhere and run again, and any number of
instances may run at once.

Run "batch doctor" first, and "batch serve" as a service, or the jobs from cron:

  * * * * *     batch retry
  * * * * *     batch rebuild --all
  */10 * * * *  batch reconcile

Status: 0 done (or nothing to do), 1 not done or not all of it, 2 the command line or the configuration cannot be
used. One line on standard output says what was done; logs and errors go to standard error.

Settings come from configs/batch.yaml and from FIRSTCOME_ variables, which go first.

`

func newRoot(in Process) *cobra.Command {
	var path string
	root := &cobra.Command{
		Use:           "batch",
		Short:         "Schema and topic, failed events, lost gates",
		Long:          about + config.Help(config.Batch),
		Version:       ops.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return misused(cmd, errors.New("say what to do: migrate, doctor, retry, rebuild, verify, republish, reconcile or serve"))
		},
	}
	root.PersistentFlags().StringVar(&path, "config", "", "YAML file with settings (default configs/batch.yaml, if it is there)")
	root.SetFlagErrorFunc(misused)
	root.CompletionOptions.DisableDefaultCmd = true
	load := func() (config.Config, *slog.Logger, error) {
		cfg, err := config.Load(config.Batch, config.LoadOptions{Path: path, Env: in.Env})
		if err != nil {
			return cfg, nil, &usageError{err}
		}
		log := logging.New(in.Err, cfg.Log, config.Batch)
		if in.Logging != nil {
			in.Logging(log)
		}
		return cfg, log, nil
	}
	root.AddCommand(newMigrate(load), newRetry(load), newRebuild(load), newVerify(load), newRepublish(load), newReconcile(load), newServe(load), newDoctor(load))
	return root
}

type loader func() (config.Config, *slog.Logger, error)

func newMigrate(load loader) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date and make the topic",
		Long: `Bring the database's schema to the version of this build and make the topic. Run it before the other roles of
a new build start. It only ever adds; two at once wait for each other; a second run finds nothing to do.

The database itself must exist (CREATE DATABASE firstcome CHARACTER SET utf8mb4). A topic that is there with another
number of partitions is an error and is left alone: a user's records would be in two of them, in no order.`,
		Example: `  FIRSTCOME_DATABASE_DSN='user:password@tcp(127.0.0.1:3306)/firstcome' batch migrate
  FIRSTCOME_KAFKA_PARTITIONS=24 FIRSTCOME_KAFKA_REPLICATION=3 batch migrate`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := load()
			if err != nil {
				return err
			}
			did, err := batch.Migrate(cmd.Context(), cfg, batch.Options{Log: log})
			return say(cmd, "migrate: ", did, err)
		},
	}
}

func newRetry(load loader) *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use:   "retry",
		Short: "Send failed events that are due through the gate again",
		Long: `Send failed events through the gate again, as ordinary claims: journal records that did not become rows. An
event is due 10 s after its first failure, then 20 s, 40 s and so on up to an hour; after 8 attempts it is
quarantined and waits for an admin (POST /v1/admin/failed-events/{id}/retry).`,
		Example: `  batch retry
  batch retry --limit 5000`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 || limit > 10_000 {
				return misused(cmd, errors.New("--limit must be from 1 to 10000"))
			}
			cfg, log, err := load()
			if err != nil {
				return err
			}
			if limit == 0 {
				limit = cfg.Batch.RetryLimit
			}
			did, err := batch.Retry(cmd.Context(), cfg, batch.Options{Log: log}, limit)
			return say(cmd, "", did, err)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many events (default batch.retry_limit)")
	return cmd
}

func newRebuild(load loader) *cobra.Command {
	var req batch.RebuildRequest
	var all bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Bring back gates that Redis lost",
		Long: `Bring back gates that Redis lost, or has from another reign, out of the ledger and the journal. The apis do
it by themselves as soon as they notice; this is for when none is running, and for a gate that is not believed.

A coupon whose gate is rebuilt answers 503 "repeat" meanwhile: admission.memory_ttl (500 ms) and the time of reading.
All gates together are one pass. Nothing is lost when it is killed, or when two of them run.

A tag is c<coupon id>, or e<event id> for the coupons of an event.`,
		Example: `  batch rebuild --all                   # every gate that is not sound
  batch rebuild --tag c1786204 --tag e1790001
  batch rebuild --tag c1786204 --force  # although it is sound, or another process is at it`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all == (len(req.Tags) > 0) {
				return misused(cmd, errors.New("say which gates: --tag (several times) or --all"))
			}
			cfg, log, err := load()
			if err != nil {
				return err
			}
			did, err := batch.Rebuild(cmd.Context(), cfg, batch.Options{Log: log}, req)
			return say(cmd, "", did, err)
		},
	}
	cmd.Flags().StringSliceVar(&req.Tags, "tag", nil, "this gate; may be given several times")
	cmd.Flags().BoolVar(&all, "all", false, "all gates of coupons on sale")
	cmd.Flags().BoolVar(&req.Force, "force", false, "also gates that are sound, or that another process has leased")
	return cmd
}

func newServe(load loader) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run retry, rebuild, the completion of changes and reconcile on a schedule",
		Long: `Run the jobs on a schedule until SIGINT or SIGTERM:

  retry      every batch.retry_every (5s)       failed events that are due
  rebuild    every batch.rebuild_every (30s)    gates that are not sound
  changes    every batch.changes_every (10s)    changes of coupons that were left half done
  reconcile  every batch.reconcile_every (10m)  database, log and gates compared, and repaired

Of several instances one at a time runs a job. /livez, /readyz and /metrics are on ops.addr (127.0.0.1:9082).`,
		Example: `  batch serve
  FIRSTCOME_BATCH_REBUILD_EVERY=5s FIRSTCOME_OPS_ADDR=127.0.0.1:9182 batch serve`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := load()
			if err != nil {
				return err
			}
			if err := batch.Run(cmd.Context(), cfg, batch.Options{Log: log, Ops: true}); err != nil {
				return err
			}
			return say(cmd, "", "serve: stopped", nil)
		},
	}
}

// say prints what was done, also when not all of it was.
func say(cmd *cobra.Command, prefix, did string, err error) error {
	if did == "" {
		return err
	}
	_, errPrint := fmt.Fprintln(cmd.OutOrStdout(), prefix+did)
	return errors.Join(err, errPrint)
}

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return misused(cmd, err)
	}
	return nil
}
