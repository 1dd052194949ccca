package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission/claimtest"
	"github.com/firstcome/firstcome/e2e/stack"
)

const (
	linClients = 8  // at once
	linAsks    = 10 // of each
	linUsers   = 10 // fewer than are asked for: some ask again, some twice at once
	linProbe   = 11 // a user who never claims
	linTries   = 25 // of one claim that is answered 503
	// linM is how much later than its change what is wider holds (admission.memory_ttl as it comes), linSlack what the
	// clocks of test and gate may differ, linLate what the contract allows on top: in a second nobody refuses any more.
	linM     = 500 * time.Millisecond
	linSlack = 20 * time.Millisecond
	linLate  = 500 * time.Millisecond
)

// Many clients claim, ask again, look and change the cap at the same time, also while Redis forgets everything: what they
// heard is what a single, undisturbed counter could have said.
func TestWhatClientsHearIsLinearizable(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		for _, c := range []history{
			{name: "calm", coupons: 1},
			{name: "changes", coupons: 1, changes: true},
			{name: "event and changes", coupons: 2, changes: true},
			{name: "losses", coupons: 1, losses: true},
			{name: "event, changes and losses", coupons: 2, changes: true, losses: true},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.s, c.seed = s, rand.Uint64()
				t.Logf("seed %d", c.seed)
				judged := false
				for try := 0; !judged && try < 3; try++ { // a history with many lost answers may have no verdict
					c.open(t)
					judged = c.model.Judge(t, c.play(t))
				}
				require.True(t, judged, "no history with a verdict")
			})
		}
	})
}

// history is one in the making.
type history struct {
	name    string
	coupons int
	changes bool
	losses  bool

	s      *stack.Stack
	seed   uint64
	ids    []int64
	model  claimtest.Model
	record *claimtest.Recorder
}

func (h *history) open(t *testing.T) {
	t.Helper()
	const places = 4
	fields := map[string]any{"total_quantity": places}
	if h.coupons > 1 {
		fields["event_id"] = h.s.Event(t)
	}
	for range h.coupons {
		h.ids = append(h.ids, h.s.Coupon(t, fields))
		h.model.Coupons = append(h.model.Coupons, claimtest.Terms{Cap: places, State: claimtest.Open})
	}
	h.model.Dense, h.model.Remembers = !h.losses, true
	h.record = claimtest.NewRecorder(linM)
	h.record.Early, h.record.Late, h.record.Replayed = linSlack, linLate, h.losses
}

func (h *history) play(t *testing.T) claimtest.History {
	t.Helper()
	var clients sync.WaitGroup
	for client := range linClients {
		clients.Go(func() { h.client(t, client) })
	}
	if h.changes {
		clients.Go(func() { h.admin(t) })
	}
	if h.losses {
		clients.Go(func() { h.loser(t) })
	}
	clients.Wait()
	for user := range linUsers { // what was unknown is known now
		for c := range h.coupons {
			stack.Eventually(t, drainWithin, func() bool {
				return h.me(t, linClients, c, user).Word != claimtest.Unknown
			}, "user %d is told what they have", user)
		}
	}
	return h.record.History()
}

func (h *history) client(t *testing.T, client int) {
	random := rand.New(rand.NewPCG(h.seed, uint64(client)+10))
	for range linAsks {
		c, user := random.IntN(h.coupons), random.IntN(linUsers)
		switch n := random.IntN(10); {
		case n < 7:
			for try := 0; h.claim(t, client, c, user).Word == claimtest.Unknown && random.IntN(8) > 0 && try < linTries; try++ {
				<-time.After(linM / 10) // the user asks again, or goes away
			}
		case n < 9:
			h.me(t, client, c, user)
		case !h.losses: // without a gate readers are told what the database has
			h.read(t, client, c)
		}
		if h.changes || h.losses { // a history as long as a few of M
			<-time.After(time.Duration(random.IntN(400)) * time.Millisecond)
		}
	}
}

func (h *history) user(n int) string { return fmt.Sprintf("user-%d", n) }

// word is what an answer says that is no number; anything but a refusal of the contract is unknown.
func word(a stack.Answer, err error, known ...string) claimtest.Output {
	if err == nil {
		for _, code := range known {
			if a.Code() == code {
				return claimtest.Output{Word: code}
			}
		}
	}
	return claimtest.Output{Word: claimtest.Unknown}
}

func (h *history) claim(t *testing.T, client, c, user int) claimtest.Output {
	in := claimtest.Input{Kind: claimtest.Claim, Coupon: c, User: user}
	return h.record.Ask(client, in, func() claimtest.Output {
		a, err := h.s.Claim(context.Background(), client, h.ids[c], h.user(user))
		if err == nil && a.Accepted() {
			return claimtest.Output{Seq: int(a.Receipt(t).Seq)}
		}
		return word(a, err, claimtest.SoldOut, claimtest.EventLimit, claimtest.Paused, claimtest.Closed)
	})
}

func (h *history) me(t *testing.T, client, c, user int) claimtest.Output {
	in := claimtest.Input{Kind: claimtest.Me, Coupon: c, User: user}
	return h.record.Ask(client, in, func() claimtest.Output {
		path := fmt.Sprintf("/v1/coupons/%d/issues/me", h.ids[c])
		a, err := h.s.Do(context.Background(), client, http.MethodGet, path, h.s.Token(h.user(user), false), nil)
		if err == nil && a.Status == http.StatusOK {
			if r := a.Receipt(t); r.Status != "rejected" {
				return claimtest.Output{Seq: int(r.Seq)}
			}
			return claimtest.Output{Word: claimtest.Unknown} // a failed event: it may be sent again
		}
		return word(a, err, claimtest.NoIssue)
	})
}

func (h *history) read(t *testing.T, client, c int) {
	h.record.Ask(client, claimtest.Input{Kind: claimtest.Read, Coupon: c}, func() claimtest.Output {
		a, err := h.s.Do(context.Background(), client, http.MethodGet, fmt.Sprintf("/v1/coupons/%d", h.ids[c]), "", nil)
		if err != nil || a.Status != http.StatusOK {
			return claimtest.Output{Word: claimtest.Unknown}
		}
		body := a.JSON(t)
		left, _ := body["remaining"].(float64)
		state, _ := body["state"].(string)
		return claimtest.Output{Word: state, Left: int(left)}
	})
}

// admin changes the terms, one change after the other, now and then before the last one holds.
func (h *history) admin(t *testing.T) {
	random := rand.New(rand.NewPCG(h.seed, 2))
	for revision := 1; revision <= 4; revision++ {
		to := claimtest.Terms{Cap: 1 + random.IntN(7), State: claimtest.Open}
		if random.IntN(4) == 0 {
			to.State = claimtest.Paused
		}
		in := claimtest.Input{Kind: claimtest.Change, Coupon: random.IntN(h.coupons), Revision: revision, To: to}
		out := h.record.Ask(linClients+1, in, func() claimtest.Output {
			path := fmt.Sprintf("/v1/admin/coupons/%d", h.ids[in.Coupon])
			body := map[string]any{"total_quantity": to.Cap, "state": to.State, "reason": "history"}
			a, err := h.s.Do(context.Background(), revision, http.MethodPatch, path, h.s.Token("admin", true), body)
			if err == nil && a.Status == http.StatusOK {
				return claimtest.Output{Word: claimtest.Done}
			}
			return word(a, err, claimtest.BelowIssued, claimtest.Superseded)
		})
		if out.Word == claimtest.Unknown {
			t.Log("a change is unknown, and the last one")
			return // it may be done at any time: nothing can be said of one that comes after it
		}
		<-time.After(time.Duration(random.IntN(1000)) * time.Millisecond)
	}
}

// loser makes Redis forget the coupon, and waits until a sound gate says that somebody has nothing.
func (h *history) loser(t *testing.T) {
	<-time.After(linM)
	h.record.Ask(linClients+2, claimtest.Input{Kind: claimtest.Lost}, func() claimtest.Output {
		keys, err := h.s.Redis.Keys(context.Background(), "fc:{*").Result()
		require.NoError(t, err)
		require.NoError(t, h.s.Redis.Del(context.Background(), keys...).Err())
		stack.Eventually(t, drainWithin, func() bool {
			path := fmt.Sprintf("/v1/coupons/%d/issues/me", h.ids[0])
			a, err := h.s.Do(context.Background(), 0, http.MethodGet, path, h.s.Token(h.user(linProbe), false), nil)
			return err == nil && a.Status == http.StatusNotFound
		}, "the gate is rebuilt")
		return claimtest.Output{Word: claimtest.Done}
	})
}
