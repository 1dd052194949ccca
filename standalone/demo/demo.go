package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/standalone"
	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

// Options of a demo.
type Options struct {
	Crowd    crowd.Options
	Exit     bool      // end after the verdict
	Out      io.Writer // the verdict
	Progress io.Writer // the progress bar; nil: none
	Colored  bool
	Started  time.Time // since when the first claim's time counts: the start of the program
	// Logging is told the log when it is made, before anything starts; nil: nobody needs to know.
	Logging func(*slog.Logger)
}

// ErrBroken says that the verdict is against us.
var ErrBroken = errors.New("the demo found a promise broken")

// readyWithin bounds the start of the stack: two seconds on an idle machine.
const readyWithin = time.Minute

// Run starts a stack on a folder of its own, sends the crowd, prints the verdict, and serves until ctx ends (or ends at
// once with Exit). ErrBroken: see the verdict; the folder is kept then, and named.
func Run(ctx context.Context, cfg config.Config, o Options) (err error) {
	if cfg.Auth.JWKSURL != "" {
		return errors.New("auth.jwks_url is set, and the demo signs the tokens of its crowd: leave it out (FIRSTCOME_AUTH_JWKS_URL)")
	}
	dir, err := os.MkdirTemp("", "firstcome-demo-")
	if err != nil {
		return fmt.Errorf("a folder for the demo: %w", err)
	}
	defer func() {
		if errors.Is(err, ErrBroken) {
			say(o.Out, "ledger, journal and log are kept for a look: %s\n", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	cfg.Standalone.DataDir = filepath.Join(dir, "data")
	log, closeLog, err := logTo(filepath.Join(dir, "log"), cfg.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	if o.Logging != nil {
		o.Logging(log)
	}

	stack, err := start(ctx, cfg, log)
	if err != nil {
		return err
	}
	err = perform(ctx, o, stack)
	if err == nil && !o.Exit {
		err = stack.wait(ctx)
	}
	return errors.Join(err, stack.stop())
}

// perform is the demo on a running stack.
func perform(ctx context.Context, o Options, stack *running) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(stack.ended, func() { cancel(context.Cause(stack.ended)) })()

	all := crowd.New(o.Crowd)
	token := func(user, role string) (string, error) {
		return standalone.Token(stack.Secret, user, role, time.Now(), standalone.TokenTTL)
	}
	admin, err := token("root", "admin")
	if err != nil {
		return err
	}
	say(o.Out, "the stack is up (%s): api %s, ops %s, data %s\n", since(o.Started), stack.API, stack.Ops, stack.DataDir)
	c := newClient(stack.API, 2*atOnce)
	defer c.close()

	began := time.Now()
	ids, err := publish(ctx, c, admin, all, began)
	if err != nil {
		return explain(ctx, err)
	}
	say(o.Out, "published %s coupons of %d vendors, %d events, seed %d, in %s\n",
		grouped(len(ids)), len(all.Vendors), len(all.Events), o.Crowd.Seed, since(began))

	say(o.Out, "sending %s users, %d at the same time …\n", grouped(len(all.Users)), atOnce)
	asked, finish := progress(o.Progress, len(all.Users))
	s := newStorm(c, all, ids, func(user string) (string, error) { return token(user, "user") }, asked)
	began = time.Now()
	err = s.run(ctx)
	took := time.Since(began)
	finish()
	if err == nil {
		err = s.askAgain(ctx)
	}
	if err != nil {
		return explain(ctx, err)
	}
	if !s.first.IsZero() {
		say(o.Out, "%s users in %s; the first accepted claim came %s after the start of the program\n",
			grouped(len(all.Users)), took.Round(10*time.Millisecond), s.first.Sub(o.Started).Round(10*time.Millisecond))
	}
	b, err := audit(ctx, stack, s.soldOut)
	if err != nil {
		return explain(ctx, err)
	}
	v := judge(s, b, took)
	say(o.Out, "\n")
	v.print(o.Out, o.Colored)
	if !v.holds() {
		return ErrBroken
	}
	if o.Exit {
		return nil
	}
	return printCurl(o.Out, stack.API, stack.Ops, s, token)
}

func audit(ctx context.Context, stack *running, soldOut map[int64]bool) (b books, err error) {
	a, err := newAuditor(stack.Ledger, stack.Brokers, stack.Topic)
	if err != nil {
		return books{}, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	return a.read(ctx, soldOut)
}

// explain prefers why the context ended over what that did to a request.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// logTo keeps the stack's log out of the way of the bar and the tables.
func logTo(path string, c config.Log) (*slog.Logger, func() error, error) {
	file, err := os.Create(path) //nolint:gosec // in the demo's own folder
	if err != nil {
		return nil, nil, fmt.Errorf("the demo's log: %w", err)
	}
	return logging.New(file, c, config.Standalone), file.Close, nil
}

// progress shows a bar; without a terminal, nothing.
func progress(w io.Writer, users int) (asked, finish func()) {
	if w == nil {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(users,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("users"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("users"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(40),
		progressbar.OptionClearOnFinish(),
	)
	// A bar that cannot be drawn is no reason to stop.
	return func() { _ = bar.Add(1) }, func() { _ = bar.Finish() }
}

func since(t time.Time) string { return time.Since(t).Round(10 * time.Millisecond).String() }
