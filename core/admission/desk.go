package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/batching"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// ErrBusy is the desk's answer when one of its bounds is reached or it is closing: at once, so that whoever asks can
// go elsewhere. It is an unknown outcome like any other error: a place may have been given, and is kept.
var ErrBusy = errors.New("admission: too many claims are under way")

// ErrUnconfirmed means that the gate did not say "stands" after the journal had acknowledged: a rebuild came between.
// The outcome is unknown; asking again tells.
var ErrUnconfirmed = errors.New("admission: the gate does not confirm the place")

// DefaultAnswerTimeout is the time in which a claim is answered one way or another, if nothing else is configured.
const DefaultAnswerTimeout = 2 * time.Second

const (
	// groupMax is how many claims, or confirmations, go to the gate together: four script calls of a coupon that
	// everybody wants, about 0.8 ms of Redis' one thread, which other coupons' claims have to wait for at most.
	groupMax = 4 * MaxBatch
	// DefaultQueue bounds the claims that wait for the gate: 0.4 s of work at 20,000 claims a second, so that whoever is
	// let in is answered within the answer timeout.
	DefaultQueue = 8192
	// journeysMax bounds the places between gate, journal and gate, late ones included. At 20,000 new places a second
	// it carries a journal that takes 400 ms; a journey that waits for the journal itself costs about 8 KiB, all of them
	// 64 MiB, one that was sent about 1 KiB.
	journeysMax = 8192
	// lateTimeout bounds how long a journey goes on when nobody waits for it any more (rule 8): longer than a change of
	// a Kafka partition's leader takes. After it the sweeper does the same work again.
	lateTimeout = 30 * time.Second
	// deadlineGrain is the part of its length for which a deadline is shared: a claim has at least 95 % of the answer
	// timeout, a journey of lateTimeout.
	deadlineGrain = 20
)

// Refs knows the coupons' unchanging parts.
type Refs interface {
	// Ref may answer from memory. coupon.ErrNotFound: there is no such coupon.
	Ref(ctx context.Context, couponID int64) (coupon.Ref, error)
	// Refresh reads the ledger.
	Refresh(ctx context.Context, couponID int64) (coupon.Ref, error)
}

// DeskDeps is what a desk works with. The fields up to Registerer are needed.
type DeskDeps struct {
	Gate          Gate
	Journal       Journal
	Refs          Refs
	OnUnsound     func(coupon.UnsoundError) // asks for a rebuild; called for each claim that met an unsound gate, must not block
	Log           *slog.Logger
	Registerer    prometheus.Registerer
	AnswerTimeout time.Duration // of a claim and of one call to the gate; 0 is DefaultAnswerTimeout
	Queue         int           // claims that may wait for the next call to the gate; 0 is DefaultQueue
	Batch         int           // users of one coupon that one script call decides, at most MaxBatch; 0 is MaxBatch

	Sender Sender // to the same journal; nil: every journey waits for Append in a goroutine of its own

	// Lane numbers the server that a tag's gate lives on, from 0; nil: all live on one. Gates of one server share calls,
	// and wait for nobody else's.
	Lane   func(tag string) int
	Memory *Memory // refuses without the gate; nil: every claim asks it. Who made it runs it
}

// Outcome is the answer to a claim.
type Outcome struct {
	Decision
	Place   coupon.Place // where Verdict.Place(): the receipt, in the journal and confirmed
	Again   bool         // the user had it already (200), not new (202)
	Now     time.Time    // Redis' clock at the decision
	OpensAt time.Time    // the window's first instant
}

// Desk is the use case of a claim: gate, journal, gate (rules 3 to 8). Its methods may be called concurrently.
type Desk struct {
	deps     DeskDeps
	metrics  *deskMetrics
	asks     lanes[question, word]
	confirms lanes[confirmation, bool]
	refresh  singleflight.Group
	late     occasional

	answerBy, lateBy deadlines

	journeys atomic.Int64 // under way
	spare    sync.Pool    // of *journey

	mu     sync.RWMutex // closed and the first Add of a claim exclude each other
	closed bool
	busy   sync.WaitGroup // claims and journeys under way

	life context.Context // ends all journeys, when Close has waited long enough
	end  context.CancelFunc
}

// NewDesk starts a desk; Close ends it.
func NewDesk(deps DeskDeps) *Desk {
	if deps.AnswerTimeout <= 0 {
		deps.AnswerTimeout = DefaultAnswerTimeout
	}
	if deps.Queue <= 0 {
		deps.Queue = DefaultQueue
	}
	if deps.Batch <= 0 || deps.Batch > MaxBatch {
		deps.Batch = MaxBatch
	}
	d := &Desk{deps: deps, metrics: newDeskMetrics(deps.Registerer), late: occasional{log: deps.Log}}
	d.life, d.end = context.WithCancel(context.Background())
	d.answerBy = deadlines{base: d.life, length: deps.AnswerTimeout}
	d.lateBy = deadlines{base: d.life, length: lateTimeout}
	d.spare.New = func() any { return newJourney(d) }
	d.openLanes(deps.AnswerTimeout)
	return d
}

// Claim asks for a place for a user. It is answered within the answer timeout.
//
// A place in the outcome is in the journal, acknowledged by every in-sync replica, and stood at the gate after that.
// Every error but these is an unknown outcome, to be answered "unavailable, repeat the request": coupon.ErrNotFound
// (no such coupon), *coupon.FieldError (a malformed user id, or the Idempotency-Key that a limit above 1 needs is missing
// or malformed) and coupon.ErrUnsound (nothing was decided, but the answer is the same).
//
// Claim reads values, never the end, of ctx for some time after it has returned, to trace a late journey.
func (d *Desk) Claim(ctx context.Context, couponID int64, userID, key string) (Outcome, error) {
	return d.serve(ctx, couponID, userID, key, false)
}

// Replay is Claim for one whose record ended as a failed event: a settled place is journaled and confirmed again too,
// with the holder's number and the gate's epoch, since its first record did not become an issue row.
func (d *Desk) Replay(ctx context.Context, couponID int64, userID, key string) (Outcome, error) {
	return d.serve(ctx, couponID, userID, key, true)
}

// Close takes no more claims and waits until those taken are answered and every journey has ended. When ctx ends first
// it ends the journeys that wait for the journal and returns an error; those that were sent end with the journal. Nothing is
// lost then either, the places are pending at the gate.
func (d *Desk) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		d.busy.Wait()
		d.asks.close()
		d.confirms.close()
		d.end()
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		left := d.journeys.Load()
		d.end()
		return fmt.Errorf("admission: the desk closes with %d places on their way to the journal: %w", left, ctx.Err())
	}
}

func (d *Desk) serve(ctx context.Context, couponID int64, userID, key string, replay bool) (Outcome, error) {
	if !d.enter() {
		d.metrics.count(Outcome{}, ErrBusy)
		return Outcome{}, ErrBusy
	}
	defer d.busy.Done()
	out, err := d.claim(visit{asker: ctx, by: d.answerBy.next()}, couponID, userID, key, replay)
	d.metrics.count(out, err)
	if err != nil {
		d.report(err)
		return Outcome{}, err
	}
	return out, nil
}

func (d *Desk) claim(v visit, couponID int64, userID, key string, replay bool) (Outcome, error) {
	if !coupon.ValidUserID(userID) { // a gate refuses a whole call for one of them, and the neighbours with it
		return Outcome{}, &coupon.FieldError{Field: "user_id", Detail: fmt.Sprintf(
			"must have 1 to %d characters of A-Z a-z 0-9 . _ : @ -", coupon.MaxUserID)}
	}
	ref, err := d.deps.Refs.Ref(v.look(), couponID)
	if err != nil {
		return Outcome{}, fmt.Errorf("look up coupon %d: %w", couponID, err)
	}
	if key, err = keyFor(ref, key); err != nil {
		return Outcome{}, err
	}
	crashpoint.At("claim.found")
	if d.deps.Memory != nil && !replay {
		if out, refused := d.deps.Memory.refuse(ref, userID); refused {
			return out, nil // rule 10
		}
	}
	said, ref, err := d.ask(v, ref, Ask{UserID: userID, Key: key})
	if err != nil {
		return Outcome{}, notTheCallers(err)
	}
	if d.deps.Memory != nil {
		d.deps.Memory.met(ref, said.Verdict)
	}
	out := Outcome{Decision: said.Decision, Now: said.now, OpensAt: said.opensAt}
	if !said.Verdict.Place() {
		return out, nil
	}
	out.Place = coupon.Place{
		CouponID: couponID, UserID: userID, Nth: said.Nth, Seq: said.Seq, Epoch: said.epoch, AcceptedAt: said.AcceptedAt, Key: key,
	}
	out.Again = said.Verdict == coupon.Holder
	if out.Again && !replay {
		return out, nil // rule 6
	}
	return out, notTheCallers(d.promise(v, ref, out.Place)) // rule 7
}

// ask asks the gate, once more with fresh siblings when that is what the gate misses: a coupon that joined the event
// after we looked is no reason for a rebuild. It returns the ref that the gate understood.
func (d *Desk) ask(v visit, ref coupon.Ref, ask Ask) (word, coupon.Ref, error) {
	said, err := d.asks[d.lane(ref.Tag)].DoBy(v.asker, v.by, question{ref: ref, ask: ask})
	if missesCoupons(err) {
		fresh, ferr := d.fresh(v.look(), ref)
		if ferr != nil {
			return word{}, ref, fmt.Errorf("look up the coupons of %s again: %w", ref.Tag, ferr)
		}
		ref = fresh
		said, err = d.asks[d.lane(ref.Tag)].DoBy(v.asker, v.by, question{ref: ref, ask: ask})
	}
	return said, ref, refused(err)
}

// fresh is the coupon's ref as the ledger has it now. Claims that need it at the same time share one look.
func (d *Desk) fresh(ctx context.Context, old coupon.Ref) (coupon.Ref, error) {
	if ref, err := d.deps.Refs.Ref(ctx, old.CouponID); err == nil && len(ref.Siblings) > len(old.Siblings) {
		return ref, nil // another claim has looked already
	}
	looked := d.refresh.DoChan(old.Tag, func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.deps.AnswerTimeout)
		defer cancel()
		return d.deps.Refs.Refresh(shared, old.CouponID)
	})
	select {
	case got := <-looked:
		ref, _ := got.Val.(coupon.Ref) // the zero Ref with an error
		return ref, got.Err
	case <-ctx.Done():
		return coupon.Ref{}, ctx.Err()
	}
}

func (d *Desk) enter() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return false
	}
	d.busy.Add(1)
	return true
}

// report asks for a rebuild if err says that a gate is not sound.
func (d *Desk) report(err error) {
	var unsound *coupon.UnsoundError
	if errors.As(err, &unsound) {
		d.deps.OnUnsound(*unsound)
	}
}

func missesCoupons(err error) bool {
	if err == nil {
		return false
	}
	var unsound *coupon.UnsoundError
	return errors.As(err, &unsound) && unsound.Why == coupon.WhyCoupons
}

// notTheCallers makes sure that what gate or journal found malformed is not taken for a mistake of the caller, who would
// be told that nothing was decided.
func notTheCallers(err error) error {
	if malformed(err) {
		return errors.New(err.Error())
	}
	return err
}

func malformed(err error) bool {
	if err == nil {
		return false
	}
	var field *coupon.FieldError
	return errors.As(err, &field)
}

// refused turns a batcher's own refusal into the desk's.
func refused(err error) error {
	if errors.Is(err, batching.ErrFull) || errors.Is(err, batching.ErrClosed) {
		return ErrBusy
	}
	return err
}

// keyFor is the idempotency key that names the claim: none where the user alone does.
func keyFor(ref coupon.Ref, key string) (string, error) {
	if ref.PerUserLimit <= 1 {
		return "", nil
	}
	if !coupon.ValidKey(key) {
		return "", &coupon.FieldError{Field: "Idempotency-Key", Detail: fmt.Sprintf(
			"must have 1 to %d characters of A-Z a-z 0-9 . _ : - for a coupon of which a user may have %d", coupon.MaxKey, ref.PerUserLimit)}
	}
	return key, nil
}
