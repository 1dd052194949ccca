package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/core/support/ops"
	"github.com/firstcome/firstcome/standalone"
	"github.com/firstcome/firstcome/standalone/demo"
	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

// usageError is a command line or a configuration that cannot be used.
type usageError struct{ error }

// misused is a usageError of a command line: whoever mistyped wants the one line, and where the rest is to be read.
func misused(cmd *cobra.Command, err error) error {
	return &usageError{fmt.Errorf("standalone: %w; see %s --help", err, cmd.CommandPath())}
}

func newRoot(started time.Time) *cobra.Command {
	var path string
	root := &cobra.Command{
		Use:   "standalone",
		Short: "The whole of firstcome in one process, on embedded Kafka, Redis and SQLite",
		Long: `The whole of firstcome in one process and one folder: api, consumer and batch on an embedded
Kafka, Redis and SQLite. Nothing has to be installed.

Settings come from configs/standalone.yaml and from FIRSTCOME_ variables, which go first.

` + config.Help(config.Standalone),
		Version:       ops.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return misused(cmd, errors.New("say what to do: run, demo or token"))
		},
	}
	root.PersistentFlags().StringVar(&path, "config", "", "YAML file with settings (default configs/standalone.yaml, if it is there)")
	root.SetFlagErrorFunc(misused)
	root.CompletionOptions.DisableDefaultCmd = true
	load := func() (config.Config, error) {
		cfg, err := config.Load(config.Standalone, config.LoadOptions{Path: path})
		if err != nil {
			return cfg, &usageError{err}
		}
		return cfg, nil
	}
	root.AddCommand(newRun(load), newDemo(load, started), newToken(load))
	return root
}

type loader func() (config.Config, error)

func newRun(load loader) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Serve until Ctrl-C, on standalone.data_dir",
		Long: `Serve until Ctrl-C. Everything is kept in standalone.data_dir (./data): stop it, kill it, start it again,
and every coupon, issue and number is still there. After a start claims are answered 503 "repeat the request" until
the gates are rebuilt from it: half a second (admission.memory_ttl), longer with very many issues.`,
		Example: `  standalone run
  FIRSTCOME_HTTP_ADDR=127.0.0.1:9000 FIRSTCOME_STANDALONE_DATA_DIR=/tmp/coupons standalone run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			log := logging.New(cmd.ErrOrStderr(), cfg.Log, config.Standalone)
			redisgate.LogTo(log)
			return standalone.Run(cmd.Context(), cfg, standalone.Options{
				Log:   log,
				Ready: func(r standalone.Running) { welcome(cmd.OutOrStdout(), r) },
			})
		},
	}
}

func welcome(w io.Writer, r standalone.Running) {
	// What is printed here is a help; a closed output stops nothing.
	_, _ = fmt.Fprintf(w, `firstcome is up.
  api     %[1]s/v1/coupons   (every call: %[1]s/v1/openapi.yaml)
  ops     %[2]s/readyz, /livez, /metrics
  data    %[3]s
  tokens  %[4]s token --user alice; %[4]s token --user root --role admin
Ctrl-C stops it; the next start goes on where this one ended, after half a second of 503 while the gates are rebuilt.
`, r.API, r.Ops, r.DataDir, os.Args[0])
}

func newDemo(load loader, started time.Time) *cobra.Command {
	o := demo.Options{Started: started}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Publish coupons, send a crowd, judge the outcome from ledger and journal",
		Long: `Start the stack on a fresh folder of its own, publish coupons over the admin endpoint, send a crowd over
the user's one, and count in the ledger and in the journal what became of it. Then serve until Ctrl-C, and
remove the folder.

The same seed makes the same vendors, coupons and users.
Status: 0 when every promise was kept, 1 when one was not (the folder is kept then), 130 when interrupted.`,
		Example: `  standalone demo
  standalone demo --exit --seed 42
  standalone demo --users 100000 --coupons 50`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Crowd.Users < 1 || o.Crowd.Coupons < 1 || o.Crowd.Users > 10_000_000 || o.Crowd.Coupons > 100_000 {
				return misused(cmd, errors.New("--users must be from 1 to 10000000 and --coupons from 1 to 100000"))
			}
			cfg, err := load()
			if err != nil {
				return err
			}
			o.Out = cmd.OutOrStdout()
			if isTerminal(os.Stderr) {
				o.Progress = os.Stderr
			}
			o.Colored = isTerminal(os.Stdout)
			o.Logging = redisgate.LogTo
			return demo.Run(cmd.Context(), cfg, o)
		},
	}
	cmd.Flags().Uint64Var(&o.Crowd.Seed, "seed", 1, "number that the crowd is made from")
	cmd.Flags().IntVar(&o.Crowd.Users, "users", crowd.DefaultUsers, "how many users come")
	cmd.Flags().IntVar(&o.Crowd.Coupons, "coupons", crowd.DefaultCoupons, "how many coupons are published")
	cmd.Flags().BoolVar(&o.Exit, "exit", false, "end after the verdict, with its status")
	return cmd
}

// isTerminal says whether somebody looks at the file, so that bars and colors make sense.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func newToken(load loader) *cobra.Command {
	var user, role string
	ttl := standalone.TokenTTL
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token that the running stack accepts",
		Long: `Print a bearer token that the running stack accepts, that of "make run" or of "make up". It is signed with
FIRSTCOME_AUTH_HS256_SECRET, else with the secret in .run/env, else with the one in standalone.data_dir (./data).

A demo has a data folder of its own, and with it a secret of its own: name the folder that it printed, or take the
tokens of its curl lines.`,
		Example: `  standalone token --user alice
  FIRSTCOME_STANDALONE_DATA_DIR=/tmp/firstcome-demo-…/data standalone token   # while that demo runs
  curl -H "Authorization: Bearer $(standalone token --user root --role admin)" …`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			if ttl < time.Second { // a token's times are whole seconds
				return misused(cmd, fmt.Errorf("--ttl must be 1s or more, such as 1h, and is %v", ttl))
			}
			secret, err := standalone.Secret(cfg)
			if err != nil {
				return err
			}
			token, err := standalone.Token(secret, user, role, time.Now(), ttl)
			if err != nil {
				return misused(cmd, err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	cmd.Flags().StringVar(&user, "user", "alice", "user id: 1 to 64 characters of [A-Za-z0-9._:@-]")
	cmd.Flags().StringVar(&role, "role", "user", "user or admin")
	cmd.Flags().DurationVar(&ttl, "ttl", ttl, "for how long it is good")
	return cmd
}

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return misused(cmd, err)
	}
	return nil
}
