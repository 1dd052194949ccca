// Package schedule decides beforehand what happens when in a run of chaos. The same seed, number and choices give the
// same schedule, wherever and whenever it is made.
package schedule

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Choice is a kind of fault that may be drawn.
type Choice struct {
	Kind    string
	Weight  int // how many cards it has in the deck
	Targets []string
	Least   time.Duration // how long it is held
	Most    time.Duration
}

// Step is one fault of a schedule.
type Step struct {
	No     int
	At     time.Duration // from the beginning, if nobody waits for anybody
	Kind   string
	Target string
	Hold   time.Duration
	Pick   uint64 // for what can be chosen only then: a coupon, a key
}

func (s Step) String() string {
	return fmt.Sprintf("%4d  %7.1f s  %-22s %-18s held %.1f s", s.No, s.At.Seconds(), s.Kind, s.Target, s.Hold.Seconds())
}

// Make draws n faults. Kinds are dealt from a shuffled deck, so that a run of a deck's length has all of them; targets of
// a kind are dealt likewise. Between two faults lie 0.2 to 1.8 times gap.
func Make(seed uint64, n int, gap time.Duration, choices []Choice) []Step {
	chance := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // chance that can be repeated
	var deck, cards []int
	for i, c := range choices {
		for range c.Weight {
			cards = append(cards, i)
		}
	}
	targets := make([][]string, len(choices))
	steps := make([]Step, 0, n)
	var at time.Duration
	for no := 1; no <= n; no++ {
		if len(deck) == 0 {
			deck = append(deck, cards...)
			chance.Shuffle(len(deck), func(i, k int) { deck[i], deck[k] = deck[k], deck[i] })
		}
		i := deck[0]
		deck = deck[1:]
		c := choices[i]
		if len(targets[i]) == 0 {
			targets[i] = append(targets[i], c.Targets...)
			t := targets[i]
			chance.Shuffle(len(t), func(i, k int) { t[i], t[k] = t[k], t[i] })
		}
		s := Step{No: no, At: at, Kind: c.Kind, Hold: c.Least, Pick: chance.Uint64()}
		if len(targets[i]) > 0 {
			s.Target, targets[i] = targets[i][0], targets[i][1:]
		}
		if c.Most > c.Least {
			s.Hold += time.Duration(chance.Int64N(int64(c.Most - c.Least)))
		}
		steps = append(steps, s)
		at += gap/5 + time.Duration(chance.Int64N(int64(gap)*8/5))
	}
	return steps
}

// Print writes a schedule for people.
func Print(w io.Writer, steps []Step) error {
	for _, s := range steps {
		if _, err := fmt.Fprintln(w, s); err != nil {
			return err
		}
	}
	return nil
}
