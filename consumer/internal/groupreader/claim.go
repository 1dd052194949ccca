package groupreader

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/IBM/sarama"

	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// members is what Sarama calls back for this member's session.
type members struct{ r *Reader }

// Setup begins a session: nothing is known of any partition.
func (m members) Setup(s sarama.ConsumerGroupSession) error {
	m.r.progress.reset()
	m.r.joined(nil)
	m.r.log.Info("joined the group", "group", m.r.cfg.Journal.Group, "member", s.MemberID(), "partitions", s.Claims())
	return nil
}

// Cleanup ends it; the marked offsets are committed after this.
func (m members) Cleanup(s sarama.ConsumerGroupSession) error {
	m.r.joined(errNoSession)
	m.r.log.Info("left the session", "group", m.r.cfg.Journal.Group, "member", s.MemberID(), "why", context.Cause(s.Context()))
	return nil
}

// ConsumeClaim works on one partition until it is revoked, the session ends or the process is to stop. Returning at any
// other moment would end the session for all partitions.
func (m members) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	m.r.consume(s, c)
	return nil
}

// claim is one partition while it is this member's.
type claim struct {
	r         *Reader
	partition int32
	intake    *intake
	gone      chan struct{}   // closed: let go, begin nothing new
	life      context.Context //nolint:containedctx // of the attempts; ends letGo after gone
}

func (r *Reader) consume(s sarama.ConsumerGroupSession, from sarama.ConsumerGroupClaim) {
	partition := from.Partition()
	if from.InitialOffset() < 0 && !r.readable(s.Context(), partition) {
		return
	}
	life, end := context.WithCancel(context.WithoutCancel(s.Context()))
	defer end()
	c := &claim{
		r: r, partition: partition, gone: make(chan struct{}), life: life,
		intake: newIntake(r.cfg.BatchRecords, r.cfg.BatchBytes, func(on bool) { r.pause(partition, on) }),
	}
	r.pause(partition, false) // a pause of an earlier claim of this partition would last
	r.progress.with(partition, func(st *state) { st.next = max(from.InitialOffset(), 0) })
	defer r.forget(partition)

	taken := make(chan struct{})
	go func() {
		defer close(taken)
		c.takeIn(s, from)
		close(c.gone)
		patience := time.AfterFunc(letGo, end)
		<-life.Done() // the writing has ended, or its time is over
		patience.Stop()
	}()
	for batch := c.intake.take(c.gone, time.Time{}); batch != nil; {
		ripe := r.ripe(time.Now())
		crashpoint.At("consume.read")
		if !c.write(batch) {
			break
		}
		next := batch[len(batch)-1].Offset + 1
		s.MarkOffset(from.Topic(), partition, next, "") // only now: all of the batch is in the book
		crashpoint.At("consume.marked")
		r.progress.wrote(partition, next)
		batch = c.intake.take(c.gone, ripe)
	}
	end()
	<-taken
}

// readable says whether a partition in which the group has committed nothing may be read from its start: a topic that was
// made anew is not, since what was promised by records of the old one would be forgotten, and new failed events would be
// taken for old ones at the same offsets. It waits until that is known, and for good when it is not; false: the session
// has ended.
func (r *Reader) readable(session context.Context, partition int32) bool {
	if r.cfg.Journal.Seen == nil {
		return true
	}
	defer r.forget(partition)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		ctx, cancel := context.WithTimeout(session, attemptTimeout)
		_, err := r.ends.Committed(ctx)
		cancel()
		if err == nil {
			return true
		}
		if session.Err() == nil {
			r.progress.with(partition, func(st *state) { st.unread = err })
			r.trouble(err)
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-session.Done():
			wait.Stop()
			return false
		}
	}
}

// ripe is when the next batch of a partition may begin after one that begins now. It is the same instant for all partitions,
// so that their batches go together.
func (r *Reader) ripe(now time.Time) time.Time {
	if r.cfg.BatchWait <= 0 {
		return now
	}
	return now.Add(r.cfg.BatchWait - time.Duration(now.UnixNano())%r.cfg.BatchWait)
}

// takeIn takes what comes until nothing more will: the partition was revoked, or the session is over.
func (c *claim) takeIn(s sarama.ConsumerGroupSession, from sarama.ConsumerGroupClaim) {
	for {
		select {
		case m, open := <-from.Messages():
			if !open {
				return
			}
			record, size := recordOf(m)
			c.r.metrics.read(record.Broken == nil)
			c.intake.put(record, size)
		case <-s.Context().Done():
			return
		}
	}
}

// write tries until the batch is in the book: true; or until the partition is to be let go: false, and nothing of the
// batch may be marked.
func (c *claim) write(batch []ledger.Record) bool {
	pause := firstPause
	c.r.progress.holds(c.partition, batch[0].Place.AcceptedAt)
	for {
		began := time.Now()
		c.r.progress.began(c.partition, began)
		_, err := c.r.together.Do(c.life, batch)
		if err == nil {
			c.recovered()
			return true
		}
		since := c.r.progress.failed(c.partition, time.Now(), err)
		c.r.metrics.failures.Inc()
		c.r.complain(c.partition, batch, since, err)
		wait := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // jitter is no secret
		select {
		case <-wait.C:
		case <-c.gone:
			wait.Stop()
			return false
		}
		pause = min(2*pause, longestPause)
	}
}

// recovered ends the waiting of this partition.
func (c *claim) recovered() {
	var since time.Time
	c.r.progress.with(c.partition, func(s *state) {
		since = s.since
		s.began, s.since, s.failure = time.Time{}, time.Time{}, nil
	})
	if !since.IsZero() {
		c.r.relieved(time.Since(since))
	}
}
