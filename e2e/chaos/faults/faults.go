// Package faults is what a run of chaos does to the world: each kind is one small type that says how it is brought about,
// how it is seen to have taken effect, how it ends, and how one recognises that the system is over it.
package faults

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/history"
	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
)

// Fault is one fault at one target.
type Fault interface {
	// Inject brings it about. An error: it could not be, and nothing is different.
	Inject(ctx context.Context) error
	// Evidence is asked after the fault was held: how one sees that it took effect. ErrNoEffect: it met nobody.
	Evidence(ctx context.Context) (string, error)
	// Heal ends it. It is called even if Inject failed.
	Heal(ctx context.Context) error
}

// ErrNoEffect says that a fault met nobody and does not count.
var ErrNoEffect = errors.New("took no effect")

// Recovery is how one recognises that the system is over a fault.
type Recovery int

// The recoveries.
const (
	ByClaims Recovery = iota // claims are answered for good again
	ByRows                   // claims become rows again
	ByReady                  // the role says that it is ready
)

// Admin changes what is on sale. A coupon that was taken is the caller's alone to change until it is given back.
type Admin interface {
	// Take takes a coupon on sale; with capped one that has a cap. false: there is none.
	Take(pick uint64, capped bool) (Offer, bool)
	Release(Offer)
	// Change asks for new terms until there is a definite answer; an error unless it is 200.
	Change(ctx context.Context, o Offer, t history.Terms) error
	// Remaining asks how many places are left.
	Remaining(ctx context.Context, o Offer) (int64, error)
}

// Offer is a coupon on sale.
type Offer struct {
	ID    int64
	Tag   string
	Total int64 // as last asked for; history.Unlimited
}

// Env is what faults work with.
type Env struct {
	World *world.World
	Admin Admin
}

// Kind is a kind of fault.
type Kind struct {
	schedule.Choice
	// Recovery says by what one recognises that the system is over it.
	Recovery func(target string) Recovery
	// Needs names what nobody else may disturb at the same time.
	Needs func(target string) []string
	Make  func(e Env, s schedule.Step) Fault
}

// Affected may be implemented by a Fault that is about one coupon.
type Affected interface {
	Coupon() int64
	// Over says whether an answer to a claim for it shows that the fault is over.
	Over(answer history.Exchange) bool
}

func claims(string) Recovery { return ByClaims }
func rows(string) Recovery   { return ByRows }
func ready(string) Recovery  { return ByReady }

func alone(target string) []string { return []string{target} }

func nothing(string) []string { return nil }

// seconds is a range of holding times.
func seconds(c schedule.Choice, least, most float64) schedule.Choice {
	c.Least, c.Most = time.Duration(least*float64(time.Second)), time.Duration(most*float64(time.Second))
	return c
}

func choice(kind string, weight int, targets ...string) schedule.Choice {
	return schedule.Choice{Kind: kind, Weight: weight, Targets: targets}
}

// Kinds are all of them, in the order of the report.
func Kinds() []Kind {
	return slices.Concat(roleKinds(), serverKinds(), redisKinds(), linkKinds(), pairKinds(), termsKinds())
}

// Choices are what a schedule draws from.
func Choices(kinds []Kind) []schedule.Choice {
	all := make([]schedule.Choice, len(kinds))
	for i, k := range kinds {
		all[i] = k.Choice
	}
	return all
}

// pause waits, or less if the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
