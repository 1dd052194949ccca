package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

const (
	// progressEvery is the time between two lines about a long step.
	progressEvery = 5 * time.Second
	// maxGateErrors is how many tags may fail at the gates one after the other before the pass gives up: each costs
	// a timeout, and by then it is not the tag.
	maxGateErrors = 5
	// maxToldShut bounds the lines about tags that leave a pass.
	maxToldShut = 10
	// tries bounds how often a call whose answer was lost is made, where that is safe.
	tries     = 3
	retryWait = 100 * time.Millisecond
	// earlyTries bounds how often a gate may say that its M is not over when by our clock it is.
	earlyTries = 20
)

// pass is one rebuild of a set of tags. What it holds in memory grows with the coupons, not with their holders.
type pass struct {
	*Rebuilder
	reports []TagReport // in the order asked for
	at      map[string]int
	live    map[string]*tagPass // those still in it
	loaded  []*tagPass          // those that something was loaded for
	coupons map[int64]*couponPass

	marks     []coupon.Mark // all that were taken, for the leases
	markedAt  time.Time     // when the last mark's answer was here
	ends      map[int32]int64
	committed map[int32]int64
	barriers  coupon.Barriers
	gateErrs  int       // tags lost to the gates one after the other
	left      int       // tags that left it
	shown     time.Time // the last line about progress
}

type tagPass struct {
	mark    coupon.Mark
	coupons []*couponPass
	report  *TagReport
	loaded  bool
}

// couponPass is what a gate must hold of a coupon when it opens.
type couponPass struct {
	coupon.Coupon
	tag      *tagPass
	ref      coupon.Ref
	holders  int64
	returned int64
	lastSeq  int64
}

func newPass(r *Rebuilder, tags []string) *pass {
	p := &pass{
		Rebuilder: r, reports: make([]TagReport, len(tags)), at: make(map[string]int, len(tags)),
		live: make(map[string]*tagPass, len(tags)), coupons: map[int64]*couponPass{}, shown: time.Now(),
	}
	for i, tag := range tags {
		p.reports[i] = TagReport{Tag: tag, Outcome: Leased} // until an epoch is taken
		p.at[tag] = i
	}
	return p
}

// run goes through the steps, strictly in this order: each rests on what was read before it being older than what it
// reads. The error is one that ended the pass for all tags that were still in it.
func (p *pass) run(ctx context.Context, force bool, lease time.Duration) error {
	defer func() {
		p.drop(ctx)
		p.release(ctx, p.marks)
	}()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"ask the journal", p.askJournal},
		{"take the next epochs", func(ctx context.Context) error { return p.takeEpochs(ctx, force, lease) }}, // rule 17
		{"mark the gates", p.markGates},                 // 18
		{"note the ends of the journal", p.noteEnds},    // 19
		{"store the barriers", p.storeBarriers},         // 20
		{"read the committed offsets", p.readCommitted}, // 21
		{"load the rows", p.loadRows},                   // 22, 24
		{"load the journal's tail", p.loadTail},         // 23, 24
		{"open the gates", p.openGates},                 // 25
	}
	for i, step := range steps {
		if i > 1 && len(p.live) == 0 { // none is live before the epochs are taken
			return nil
		}
		if err := step.do(ctx); err != nil {
			err = fmt.Errorf("%s: %w", step.name, err)
			p.failAll(err)
			return err
		}
	}
	return nil
}

// loads notes that something comes to be loaded for a tag.
func (p *pass) loads(t *tagPass) {
	if !t.loaded {
		t.loaded = true
		p.loaded = append(p.loaded, t)
	}
}

// drop removes what was loaded and will not be opened, also when the caller's time is over. What it does not reach runs
// out by itself.
func (p *pass) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	for _, t := range p.loaded {
		if t.report.Outcome == Opened || ctx.Err() != nil {
			continue
		}
		ids := make([]int64, len(t.coupons))
		for i, c := range t.coupons {
			ids[i] = c.ID
		}
		if err := p.deps.Gates.Drop(ctx, t.mark, ids); err != nil {
			p.deps.Log.Warn("what a rebuild has loaded and does not open stays for its time to live", "tag", t.mark.Tag, "error", err)
			return // the gates do not answer
		}
	}
}

// failAll ends the pass for those that are still in it; before any epoch was taken that is everybody.
func (p *pass) failAll(err error) {
	if len(p.marks) == 0 {
		for i := range p.reports {
			p.reports[i].Outcome, p.reports[i].Err = Failed, err
		}
		return
	}
	for _, t := range p.live {
		t.report.Outcome, t.report.Err = Failed, err
	}
	clear(p.live)
}

// leave ends the pass for one tag.
func (p *pass) leave(t *tagPass, step string, err error) {
	t.report.Outcome, t.report.Err = Failed, fmt.Errorf("%s: %w", step, err)
	if errors.Is(err, coupon.ErrOvertaken) {
		t.report.Outcome = Overtaken
	}
	delete(p.live, t.mark.Tag)
	if p.left++; p.left <= maxToldShut { // the last line of a rebuild says how many there are
		p.deps.Log.Warn("a gate stays shut for now", "tag", t.mark.Tag, "epoch", t.mark.Epoch, "outcome", t.report.Outcome, "error", t.report.Err)
	}
}

// lost is leave for what a gate's call said. Several unknown answers in a row mean that the gates are out of reach.
func (p *pass) lost(ctx context.Context, t *tagPass, step string, err error) error {
	p.leave(t, step, err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !isUnknown(err) {
		return nil
	}
	if p.gateErrs++; p.gateErrs >= maxGateErrors {
		return fmt.Errorf("the gates do not answer: %w", err)
	}
	return nil
}

func (p *pass) tags() []string {
	tags := make([]string, 0, len(p.live))
	for _, r := range p.reports {
		if p.live[r.Tag] != nil {
			tags = append(tags, r.Tag)
		}
	}
	return tags
}

func (p *pass) liveMarks() []coupon.Mark {
	marks := make([]coupon.Mark, 0, len(p.live))
	for _, tag := range p.tags() {
		marks = append(marks, p.live[tag].mark)
	}
	return marks
}

func (p *pass) takeEpochs(ctx context.Context, force bool, lease time.Duration) error {
	tags := make([]string, len(p.reports))
	for i, r := range p.reports {
		tags[i] = r.Tag
	}
	marks, err := p.deps.Book.BumpEpochs(ctx, tags, p.deps.Owner, lease, force)
	if err != nil {
		return err
	}
	crashpoint.At("rebuild.epoch-taken")
	p.marks = marks
	for _, m := range marks {
		report := &p.reports[p.at[m.Tag]]
		report.Epoch = m.Epoch
		p.live[m.Tag] = &tagPass{mark: m, report: report}
	}
	if len(marks) > 0 {
		p.deps.Log.Info("rebuild begins", "tags", len(marks), "left_to_others", len(tags)-len(marks))
	}
	return nil
}

// askJournal looks whether the later steps can go well, before anything is shut: while the brokers are away, or the log was
// cut, each attempt would take an epoch and store a barrier for each tag, again and again, and shut gates that are sound.
// What it reads is not used: offsets count only after the barriers.
func (p *pass) askJournal(ctx context.Context) error {
	_, err := p.committedOffsets(ctx)
	return err
}

// markGates never asks a second time for the same mark. Where the answer was lost the mark may stand or not, and it has
// a token that we do not know: the next attempt takes an epoch of its own.
func (p *pass) markGates(ctx context.Context) error {
	for _, answer := range p.deps.Gates.Mark(ctx, p.liveMarks()) {
		t := p.live[answer.Tag]
		if answer.Err != nil { // however many: these calls have all been made, and another server's gates go on
			p.leave(t, "mark", answer.Err)
			continue
		}
		t.mark.Token = answer.Token
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	crashpoint.At("rebuild.marked")
	p.markedAt = time.Now()
	return pause(ctx, p.deps.ReplicaMaxLag) // what a replica might promote without the mark is too old to say "stands"
}

func (p *pass) noteEnds(ctx context.Context) (err error) {
	p.ends, err = p.deps.Journal.Ends(ctx)
	crashpoint.At("rebuild.ends-noted")
	return err
}

func (p *pass) storeBarriers(ctx context.Context) error {
	kept, err := p.deps.Book.StoreBarriers(ctx, p.liveMarks(), p.ends)
	if err != nil {
		return err
	}
	crashpoint.At("rebuild.barrier-stored")
	stored := make(map[string]bool, len(kept))
	for _, m := range kept {
		stored[m.Tag] = true
	}
	for _, tag := range p.tags() {
		if !stored[tag] {
			p.leave(p.live[tag], "store the barrier", coupon.ErrOvertaken)
		}
	}
	// No barrier of a smaller epoch can be stored from now on, so what is read here is all of them.
	p.barriers, err = p.deps.Book.Barriers(ctx, p.tags())
	return err
}

func (p *pass) readCommitted(ctx context.Context) (err error) {
	p.committed, err = p.committedOffsets(ctx)
	crashpoint.At("rebuild.offsets-read")
	return err
}

func (p *pass) committedOffsets(ctx context.Context) (map[int32]int64, error) {
	committed, err := p.deps.Journal.Committed(ctx)
	if errors.Is(err, coupon.ErrLogCut) || errors.Is(err, coupon.ErrLogAnew) {
		p.deps.Log.Error("ALARM: records that no consumer has written may be gone from the journal; the gates stay shut", "tags", len(p.reports), "error", err)
	}
	return committed, err
}

// openGates opens what was loaded, M after the last mark, so that no api remembers a refusal of an older gate.
func (p *pass) openGates(ctx context.Context) error {
	crashpoint.At("rebuild.loaded")
	if err := pause(ctx, time.Until(p.markedAt.Add(p.deps.M))); err != nil {
		return err
	}
	tried := map[string]int{}
	for len(p.live) > 0 {
		for tag, err := range p.openOnce(ctx) {
			limit := tries
			if errors.Is(err, coupon.ErrTooEarly) {
				limit = earlyTries
			}
			if tried[tag]++; tried[tag] >= limit {
				p.leave(p.live[tag], "open", err)
			}
		}
		if len(p.live) == 0 {
			return nil
		}
		if err := pause(ctx, retryWait); err != nil {
			return err
		}
	}
	return nil
}

// openOnce asks once for all that are left. It returns those that have to be asked for again, and why; to open twice
// under the same mark is safe.
func (p *pass) openOnce(ctx context.Context) (again map[string]error) {
	tags := p.tags()
	openings := make([]coupon.Opening, len(tags))
	for i, tag := range tags {
		openings[i] = p.live[tag].opening(p.deps.M)
	}
	again = map[string]error{}
	for i, err := range p.deps.Gates.Open(ctx, openings) {
		t := p.live[tags[i]]
		switch {
		case err == nil:
			crashpoint.At("rebuild.opened")
			t.report.Outcome = Opened
			delete(p.live, tags[i])
		case errors.Is(err, coupon.ErrTooEarly) || isUnknown(err):
			again[tags[i]] = err
		default:
			p.leave(t, "open", err)
		}
	}
	return again
}

func (t *tagPass) opening(m time.Duration) coupon.Opening {
	o := coupon.Opening{Mark: t.mark, Wait: m, Event: isEvent(t.mark.Tag)}
	for _, c := range t.coupons {
		o.Coupons = append(o.Coupons, coupon.OpeningCoupon{
			Ref: c.ref, Terms: c.Terms, Revision: c.Applied,
			Holders: c.holders, Returned: c.returned, LastSeq: max(c.lastSeq, c.holders),
		})
		if c.ref.Member {
			o.Members += c.holders // a user holds at most one of them
		}
	}
	return o
}

func isEvent(tag string) bool { return strings.HasPrefix(tag, "e") }

// progress says how far a long step is, now and then.
func (p *pass) progress(msg string, args ...any) {
	if time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	p.deps.Log.Info(msg, args...)
}

// unread are the partitions that have records between committed and noted offsets, and where they begin and end.
func (p *pass) unread() (from, to map[int32]int64) {
	from, to = map[int32]int64{}, maps.Clone(p.ends)
	for partition, end := range p.ends {
		if from[partition] = p.committed[partition]; from[partition] >= end {
			delete(from, partition)
			delete(to, partition)
		}
	}
	return from, to
}
