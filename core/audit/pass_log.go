package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// consumers notes the log's ends and waits, within reason, until the consumers have passed them. What they have committed
// then is what can be judged.
func (p *pass) consumers(ctx context.Context) (err error) {
	if p.starts, err = p.log.starts(); err != nil {
		return err
	}
	ends, err := p.log.ends()
	if err != nil {
		return err
	}
	until := time.Now().Add(p.cfg.Settle)
	first := map[int32]int64{}
	for looks := 0; ; looks++ {
		if p.committed, err = p.log.committed(ends); err != nil {
			return err
		}
		for partition, start := range p.starts {
			if _, ok := p.committed[partition]; !ok {
				p.committed[partition] = start
			}
		}
		if looks == 0 {
			first = p.committed
		}
		behind := p.behind(ends, first)
		if len(behind) == 0 {
			break
		}
		known := !slices.ContainsFunc(behind, func(f Finding) bool { return !p.again(f) })
		if known || !time.Now().Before(until) {
			p.late(behind, ends, first)
			break
		}
		p.sometimes("waiting for the consumers: behind in %d partitions", len(behind))
		if err = wait(ctx, lookEvery/2); err != nil {
			return err
		}
	}
	for partition, start := range p.starts {
		if at := p.committed[partition]; at < start {
			p.found.add(Finding{Type: LostPromise, Subject: Subject{Partition: &partition}, Repair: person, Evidence: fmt.Sprintf(
				"the log begins at offset %d and the consumers have only come to %d: records are gone that nobody wrote", start, at)})
		}
	}
	return nil
}

// behind are the partitions whose noted end the consumers have not reached.
func (p *pass) behind(ends, first map[int32]int64) (list []Finding) {
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		if at := p.committed[partition]; at < ends[partition] {
			list = append(list, Finding{Type: ConsumerStuck, Subject: Subject{Partition: &partition}, Evidence: fmt.Sprintf(
				"group %s is at offset %d of %d since %v", p.cfg.Kafka.Group, first[partition], ends[partition], p.cfg.Settle)})
		}
	}
	return list
}

// late makes findings of the partitions where nothing moved. Where something did, the consumers are only slow.
func (p *pass) late(behind []Finding, ends, first map[int32]int64) {
	var left int64
	for _, f := range behind {
		at := p.committed[*f.Subject.Partition]
		left += ends[*f.Subject.Partition] - at
		if p.cfg.Settle > 0 && at == first[*f.Subject.Partition] {
			p.found.add(f)
		}
	}
	p.note("%d records were not judged: the consumers have not written them yet", left)
}

// records puts all records of the log aside, each with the failed event that it became.
func (p *pass) records(ctx context.Context) error {
	ends, err := p.log.ends()
	if err != nil {
		return err
	}
	var all int64
	for partition, end := range ends {
		all += end - p.starts[partition]
	}
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		w := newFailedWalk(p.tx, p.cfg.Kafka.Topic, partition)
		oldest := true
		err := p.log.read(ctx, partition, span{p.starts[partition], ends[partition]}, func(m *sarama.ConsumerMessage) error {
			if oldest && p.starts[partition] > 0 {
				// A minute for clocks that differ, and for the way from the gate to the log.
				p.logBegins = max(p.logBegins, m.Timestamp.Add(time.Minute).UnixMicro())
			}
			oldest = false
			p.looked.Records++
			p.sometimes("reading the log: %d of %d records", p.looked.Records, all)
			return p.record(ctx, m, w)
		})
		if err != nil {
			return err
		}
		if err := p.beyond(ctx, w); err != nil {
			return blind(Database, err)
		}
	}
	if p.logBegins > 0 {
		p.note("the log has dropped old records: rows accepted before %s are not asked for theirs", text(p.logBegins))
	}
	return nil
}

// record judges what can be judged of one record alone, and puts it aside for the rest.
func (p *pass) record(ctx context.Context, m *sarama.ConsumerMessage, w *failedWalk) error {
	failed, err := p.failedAt(ctx, w, m.Offset)
	if err != nil {
		return blind(Database, err)
	}
	e := entry{kind: kindRecord, partition: m.Partition, offset: m.Offset}
	if m.Offset < p.committed[m.Partition] {
		e.flags |= flagJudged
	}
	if failed != nil {
		e.failed = failed.reason
	}
	derr := decode(m.Value, &e)
	c := p.catalog.coupons[e.coupon]
	if derr == nil && c != nil && c.tag.overtaken(e.epoch, e.partition, e.offset) {
		e.flags |= flagOvertaken
	}
	if failed != nil {
		p.failed(failed, e.is(flagOvertaken))
	}
	if derr == nil && c != nil {
		if p.catalog.watches(c.tag.name) {
			return p.claims.add(hashOf(e.user, 0), &e)
		}
		return nil
	}
	if !e.is(flagJudged) || failed != nil || p.catalog.only != "" {
		return nil
	}
	f := Finding{Type: RecordUndecodable, Subject: at(&e), Record: rawOf(m)}
	if derr != nil {
		f.Evidence = fmt.Sprintf("%d bytes that are no record (%v), passed by the consumers, and no failed event", len(m.Value), derr)
	} else {
		f.Type = RecordUnaccounted
		f.Evidence = fmt.Sprintf("a record of coupon %d, which does not exist, passed by the consumers, and no failed event", e.coupon)
	}
	p.found.add(f)
	return nil
}

const maxKept = 8 << 10 // bytes of a record's value that a repair keeps

func rawOf(m *sarama.ConsumerMessage) *RawRecord {
	return &RawRecord{
		Partition: m.Partition, Offset: m.Offset, Key: slices.Clone(m.Key[:min(len(m.Key), maxKept)]),
		Value: slices.Clone(m.Value[:min(len(m.Value), maxKept)]),
	}
}

func at(e *entry) Subject { return Subject{Partition: &e.partition, Offset: &e.offset} }

// failedAt is the failed event of the record at an offset, if it has one.
func (p *pass) failedAt(ctx context.Context, w *failedWalk, offset int64) (*failedEvent, error) {
	for {
		f, err := w.next(ctx)
		if err != nil || f == nil || f.offset > offset {
			return nil, err
		}
		found := *f
		w.take()
		if found.offset == offset {
			return &found, nil
		}
		p.failed(&found, false) // its record is not in the log any more
	}
}

// beyond takes the failed events that are left when the log is at its end.
func (p *pass) beyond(ctx context.Context, w *failedWalk) error {
	for {
		f, err := w.next(ctx)
		if err != nil || f == nil {
			return err
		}
		p.failed(f, false)
		w.take()
	}
}

// failed judges whether a failed event waits for too long, or for a person. Nothing is owed for a record that a rebuild
// overtook: when the gate has refused it often enough, that is the end of it.
func (p *pass) failed(f *failedEvent, overtaken bool) {
	if p.catalog.only != "" && (p.catalog.coupons[f.coupon] == nil || !p.catalog.watches(p.catalog.coupons[f.coupon].tag.name)) {
		return
	}
	found := Finding{Type: FailedEventOverdue, Subject: Subject{Coupon: f.coupon, User: f.user, FailedEvent: f.id}}
	switch {
	case f.status == "quarantined" && !overtaken:
		found.Severity = Drift
		found.Repair = person + "; to try it again: POST /v1/admin/failed-events/" + fmt.Sprint(f.id) + "/retry"
		found.Evidence = fmt.Sprintf("failed_events says quarantined, reason %s, after %d attempts", f.reason, f.attempts)
	case f.status == "waiting" && f.due < p.catalog.now-p.cfg.Overdue.Microseconds():
		found.Evidence = fmt.Sprintf("failed_events says waiting, reason %s, due at %s, and it is %s", f.reason, text(f.due), text(p.catalog.now))
	default:
		return
	}
	p.found.add(found)
}
