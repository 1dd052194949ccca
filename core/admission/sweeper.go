package admission

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// What a sweeper does when nothing else is configured.
const (
	// DefaultSweepEvery is the time from the begin of one pass to the next.
	DefaultSweepEvery = time.Second
	// DefaultSweepAge is above DefaultAnswerTimeout, so that a claim that is still being answered is not journaled twice.
	DefaultSweepAge = 3 * time.Second
)

const (
	// sweepPage and sweepPageTime pace the walk at 1,000 coupons a second: a look costs Redis about 20 µs, so one
	// instance takes 2 % of its thread. The first pass is not paced.
	sweepPage     = 250
	sweepPageTime = 250 * time.Millisecond
	// sweepRounds bounds what one coupon gets in a pass, 6,400 places at the largest batch, so that one with a long
	// backlog does not keep the others waiting.
	sweepRounds = 50
	// sweepGateTimeout bounds one call to the gate or the ledger, sweepJournalTimeout the journaling of one batch;
	// sweepLease outlasts a round of both.
	sweepGateTimeout    = 2 * time.Second
	sweepJournalTimeout = 5 * time.Second
	sweepLease          = 10 * time.Second
	// A journal that takes longer than journalSlow for a batch is left alone for a while, like one that fails.
	journalSlow    = time.Second
	backoffInitial = 50 * time.Millisecond
	backoffMax     = 5 * time.Second
)

// LiveCoupons lists the coupons whose gates are in use.
type LiveCoupons interface {
	// LiveRefs returns up to limit coupons with ids above afterID in ascending order, read from the ledger and not from
	// memory. None means the end.
	LiveRefs(ctx context.Context, afterID int64, limit int) ([]coupon.Ref, error)
}

// SweeperDeps is what a sweeper works with. The fields up to Registerer are needed.
type SweeperDeps struct {
	Gate       Gate
	Journal    Journal
	Coupons    LiveCoupons
	OnUnsound  func(coupon.UnsoundError) // asks for a rebuild; must not block
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Owner      string        // names this sweeper in the leases; "" makes one up
	Every      time.Duration // pause between two passes; 0 is DefaultSweepEvery
	Age        time.Duration // how long a place must be pending, by Redis' clock; 0 is DefaultSweepAge
	Batch      int           // places a call, at most MaxBatch; 0 is MaxBatch
}

// Sweeper brings into the journal what a gate has decided and nobody journaled, or nobody heard the acknowledgement of
// (rules 9 and 30). Looking at every gate, it also is the first to notice one that is not sound. It promises nothing to
// anybody. Any number of them may run.
type Sweeper struct {
	deps    SweeperDeps
	metrics *sweeperMetrics
	trouble occasional

	ledger, gate, journal *backoff.ExponentialBackOff
	journalAgain          time.Time // until then nothing is journaled
}

// NewSweeper makes a sweeper; Run runs it.
func NewSweeper(deps SweeperDeps) *Sweeper {
	if deps.Owner == "" {
		deps.Owner = rand.Text()
	}
	if deps.Every <= 0 {
		deps.Every = DefaultSweepEvery
	}
	if deps.Age <= 0 {
		deps.Age = DefaultSweepAge
	}
	if deps.Batch <= 0 || deps.Batch > MaxBatch {
		deps.Batch = MaxBatch
	}
	return &Sweeper{
		deps: deps, metrics: newSweeperMetrics(deps.Registerer), trouble: occasional{log: deps.Log},
		ledger: newBackoff(), gate: newBackoff(), journal: newBackoff(),
	}
}

// Run walks all live coupons again and again until ctx ends, whatever fails meanwhile, and then returns nil. It begins
// with a whole pass at once. Run is called once.
func (s *Sweeper) Run(ctx context.Context) error {
	for paced := false; ; paced = true {
		s.pass(ctx, paced)
		if !pause(ctx, s.deps.Every) {
			return nil
		}
	}
}

// Once walks all live coupons once and says how many places it saw pending for long, and how many of them it settled. A
// coupon that another sweeper has is left to it.
func (s *Sweeper) Once(ctx context.Context) (seen, settled int, err error) {
	sum := s.pass(ctx, false)
	return sum.seen, sum.confirmed, ctx.Err()
}

// pass looks at every live coupon once.
func (s *Sweeper) pass(ctx context.Context, paced bool) (sum sweepSum) {
	began := time.Now()
	for after := int64(0); ctx.Err() == nil; {
		pageBegan := time.Now()
		refs, err := s.page(ctx, after)
		if err != nil {
			s.trouble.warn("the sweeper cannot list the live coupons and tries again", "error", err)
			pause(ctx, s.ledger.NextBackOff())
			continue
		}
		s.ledger.Reset()
		if len(refs) == 0 {
			break
		}
		crashpoint.At("sweep.listed")
		for _, ref := range refs {
			s.sweep(ctx, ref, &sum)
			after = max(after, ref.CouponID)
		}
		if paced {
			pause(ctx, sweepPageTime-time.Since(pageBegan))
		}
	}
	if ctx.Err() != nil {
		return sum
	}
	s.metrics.passed(sum, time.Since(began))
	if sum.confirmed > 0 {
		s.deps.Log.Info("the sweeper settled pending places", "places", sum.confirmed, "seen", sum.seen)
	}
	return sum
}

func (s *Sweeper) page(ctx context.Context, after int64) ([]coupon.Ref, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepGateTimeout)
	defer cancel()
	return s.deps.Coupons.LiveRefs(ctx, after, sweepPage)
}

// sweep settles what is pending at one coupon, as long as that goes well.
func (s *Sweeper) sweep(ctx context.Context, ref coupon.Ref, sum *sweepSum) {
	for range sweepRounds {
		places, err := s.look(ctx, ref)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.failed(ctx, ref, err)
			return
		}
		s.gate.Reset()
		sum.saw(places, s.deps.Age)
		if len(places) == 0 || time.Now().Before(s.journalAgain) {
			return
		}
		crashpoint.At("sweep.looked")
		settled := s.settle(ctx, ref, places)
		sum.confirmed += settled
		if settled < len(places) || len(places) < s.deps.Batch {
			return
		}
	}
}

// look asks the gate what is pending, once more with fresh siblings when that is what it misses.
func (s *Sweeper) look(ctx context.Context, ref coupon.Ref) ([]coupon.Place, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepGateTimeout)
	defer cancel()
	sweep := Sweep{Age: s.deps.Age, Limit: s.deps.Batch, Owner: s.deps.Owner, Lease: sweepLease}
	places, err := s.deps.Gate.Sweepable(ctx, ref, sweep)
	if !missesCoupons(err) {
		return places, err
	}
	fresh, ferr := s.deps.Coupons.LiveRefs(ctx, ref.CouponID-1, 1)
	if ferr != nil {
		return nil, ferr
	}
	if len(fresh) == 0 || fresh[0].CouponID != ref.CouponID {
		return nil, nil // its sale is over
	}
	return s.deps.Gate.Sweepable(ctx, fresh[0], sweep)
}

// failed deals with a gate that did not answer: one that is not sound is reported and the others go on; one that cannot
// be reached is probably not alone, so the sweeper slows down.
func (s *Sweeper) failed(ctx context.Context, ref coupon.Ref, err error) {
	var unsound *coupon.UnsoundError
	if errors.As(err, &unsound) {
		if coupon.IsNew(ref.CouponID, time.Now()) {
			return
		}
		s.metrics.unsound.Inc()
		s.deps.OnUnsound(*unsound)
		return
	}
	s.metrics.unknown.Inc()
	s.trouble.warn("the sweeper gets no answer from a gate", "coupon_id", ref.CouponID, "error", err)
	pause(ctx, s.gate.NextBackOff())
}

// settle journals places and has those confirmed that the journal acknowledged. It returns how many that were.
func (s *Sweeper) settle(ctx context.Context, ref coupon.Ref, places []coupon.Place) int {
	acknowledged, err := s.append(ctx, ref, places)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		s.metrics.journalUnknown.Add(float64(len(places) - len(acknowledged)))
		s.trouble.warn("the sweeper could not journal pending places; they stay pending", "coupon_id", ref.CouponID,
			"places", len(places)-len(acknowledged), "error", err)
	}
	if len(acknowledged) == 0 {
		return 0
	}
	crashpoint.At("sweep.journaled")
	ctx, cancel := context.WithTimeout(ctx, sweepGateTimeout)
	defer cancel()
	answers := s.deps.Gate.Confirm(ctx, []ConfirmCall{{Ref: ref, Places: acknowledged}})
	if len(answers) != 1 {
		answers = []ConfirmAnswer{{Err: errors.New("the gate did not answer one call with one answer")}}
	}
	if err := answers[0].Err; err != nil {
		s.metrics.unconfirmed.Add(float64(len(acknowledged)))
		if !missesCoupons(err) { // the next look finds out what is behind that
			s.failed(ctx, ref, err)
		}
		return 0
	}
	crashpoint.At("sweep.confirmed")
	stands := 0
	for _, ok := range answers[0].Stands {
		if ok {
			stands++
		}
	}
	s.metrics.confirmed.Add(float64(stands))
	s.metrics.unconfirmed.Add(float64(len(acknowledged) - stands))
	return stands
}

// append journals all places at once and returns those acknowledged. An error is one of those that the others met; the
// journal is left alone for a while then, and also when it was slow. A place that the journal finds malformed says nothing
// about the journal.
func (s *Sweeper) append(ctx context.Context, ref coupon.Ref, places []coupon.Place) ([]coupon.Place, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepJournalTimeout)
	defer cancel()
	began := time.Now()
	errs := make([]error, len(places))
	var all sync.WaitGroup
	for i := range places {
		places[i].CouponID = ref.CouponID
		all.Go(func() { errs[i] = s.deps.Journal.Append(ctx, places[i]) })
	}
	all.Wait()
	acknowledged := make([]coupon.Place, 0, len(places))
	var failure error
	trouble := time.Since(began) > journalSlow
	for i, err := range errs {
		if err != nil {
			failure = err
			trouble = trouble || !malformed(err)
			continue
		}
		acknowledged = append(acknowledged, places[i])
	}
	if trouble {
		s.journalAgain = time.Now().Add(s.journal.NextBackOff())
	} else {
		s.journal.Reset()
	}
	return acknowledged, failure
}

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = backoffInitial, backoffMax, 2
	b.Reset()
	return b
}

// pause waits, and says whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
