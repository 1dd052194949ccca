// Package measure is what the harness does: loads on firstcome and on what it stands on, in turns, each with a check of its
// outcome. A wrong outcome ends the run, since a fast wrong answer is worth nothing.
package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
	"github.com/firstcome/firstcome/bench/limits"
	"github.com/firstcome/firstcome/bench/report"
	"github.com/firstcome/firstcome/bench/world"
)

// Suite is one run.
type Suite struct {
	World  *world.World
	Report *report.Run
	Out    io.Writer // progress
	Quick  bool      // fewer rounds, smaller crowds, and without what takes minutes
	Rounds int
	Only   []string // names of measurements, or their beginnings; empty: all

	api, consumer, empty *world.Role

	gone int64 // the coupon that is sold out; 0: none yet
	came int   // rounds of losers who have asked for it
}

// measurement is one load, or a few that belong together.
type measurement struct {
	name string
	once bool // one round is enough: it is a size or a shape, or it takes long
	run  func(context.Context) error
}

// Run measures. What several rounds are taken of is measured in turns, so that a machine that is slow for a while is slow for all.
func (s *Suite) Run(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	var turns, once []measurement
	for _, m := range s.measurements() {
		switch {
		case !s.chosen(m):
		case m.once:
			once = append(once, m)
		default:
			turns = append(turns, m)
		}
	}
	if len(turns)+len(once) == 0 {
		return fmt.Errorf("there is no measurement with a name like %s", strings.Join(s.Only, ", "))
	}
	if len(turns) > 0 {
		if err := s.warm(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	for round := range s.Rounds {
		// A machine with other work gets fewer rounds, and a result in time.
		if took := time.Since(began); round >= leastRounds && took+took/time.Duration(round) > s.turnsWithin() {
			s.say("%d rounds are all that there is time for\n", round)
			break
		}
		if err := s.World.Forget(ctx); err != nil {
			return err
		}
		for _, m := range turns {
			if err := s.one(ctx, fmt.Sprintf("round %d of %d: %s", round+1, s.Rounds, m.name), m); err != nil {
				return err
			}
		}
	}
	for _, m := range once {
		if err := s.one(ctx, m.name, m); err != nil {
			return err
		}
	}
	return nil
}

// leastRounds there are, however long they take.
const leastRounds = 2

// turnsWithin is the time for all rounds.
func (s *Suite) turnsWithin() time.Duration {
	if s.Quick {
		return 90 * time.Second
	}
	return 6 * time.Minute
}

// connectionCounts are how many users ask at the same time.
func connectionCounts() []int { return []int{64, 256, 1024} }

func (s *Suite) measurements() (all []measurement) {
	for _, n := range connectionCounts() {
		all = append(all,
			measurement{name: fmt.Sprintf("empty/%d", n), run: func(ctx context.Context) error { return s.emptyHandler(ctx, n) }},
			measurement{name: fmt.Sprintf("claim/%d", n), run: func(ctx context.Context) error { return s.claim(ctx, n) }},
			measurement{name: fmt.Sprintf("persisted/%d", n), run: func(ctx context.Context) error { return s.persisted(ctx, n) }})
	}
	return append(all,
		measurement{name: "empty/refusal", run: s.emptyRefusal},
		measurement{name: "sold-out", run: s.soldOut},
		measurement{name: "gate/batched", run: s.gateAlone},
		measurement{name: "gate/single", run: s.gateOneByOne},
		measurement{name: "journal", run: s.journalAlone},
		measurement{name: "rows", run: s.rowsAlone},
		measurement{name: "drain", run: s.drain},
		measurement{name: "open", run: s.openLoop, once: true},
		measurement{name: "open/alone", run: s.openAlone, once: true},
		measurement{name: "fairness", run: s.fairness, once: true},
		measurement{name: "lock", run: s.lock, once: true},
		measurement{name: "memory", run: s.memory, once: true},
		measurement{name: "holders", run: s.manyHolders, once: true},
		measurement{name: "coupons", run: s.manyCoupons, once: true},
	)
}

func (s *Suite) chosen(m measurement) bool {
	if len(s.Only) == 0 {
		return true
	}
	for _, only := range s.Only {
		if strings.HasPrefix(m.name, only) {
			return true
		}
	}
	return false
}

// start starts what nearly every measurement needs.
func (s *Suite) start(ctx context.Context) (err error) {
	if s.api, err = s.World.Start(ctx, "api"); err != nil {
		return err
	}
	if s.consumer, err = s.World.Start(ctx, "consumer"); err != nil {
		return err
	}
	if s.empty == nil {
		if s.empty, err = s.World.ServeSelf(ctx, limits.EmptySubcommand); err != nil {
			return err
		}
	}
	return s.World.Administer(ctx, s.api)
}

// warm asks once and forgets the figures: the first load after a start meets cold code in every process.
func (s *Suite) warm(ctx context.Context) error {
	kept := s.Report
	defer func() { s.Report = kept }()
	s.Report = &report.Run{}
	return s.one(ctx, "warming up", measurement{run: func(ctx context.Context) error {
		return errors.Join(s.emptyHandler(ctx, connectionCounts()[0]), s.claim(ctx, together), s.persisted(ctx, together))
	}})
}

// repeats is how often a load is repeated of which not all answers are known, as may happen on a machine that has other work.
const repeats = 3

func (s *Suite) one(ctx context.Context, what string, m measurement) error {
	began := time.Now()
	s.say("%s", what)
	err := m.run(ctx)
	for again := 1; again <= repeats && errors.Is(err, crowd.ErrUnknown); again++ {
		s.say("once more: %v", err)
		err = m.run(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	_, _ = fmt.Fprintf(s.Out, " %.1f s%s\n", time.Since(began).Seconds(), s.lately(m.name)) // progress is no result
	return err
}

func (s *Suite) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Out, " "+format+" …", args...) // progress is no result
}

// lately is the newest value of a figure, for the progress.
func (s *Suite) lately(name string) string {
	f := s.Report.Figure(name)
	if f == nil {
		return ""
	}
	return fmt.Sprintf(": %.4g %s", f.Rounds[len(f.Rounds)-1].Value, f.Unit)
}
