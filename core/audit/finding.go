package audit

import (
	"fmt"
	"strings"
)

// Type is what is wrong. Each has its entry in docs/runbook.md, section "Findings".
type Type string

// The types.
const (
	OverIssued         Type = "over_issued"
	DoubleIssue        Type = "double_issue"
	EventLimitBroken   Type = "event_limit_broken"
	SequenceDuplicate  Type = "sequence_duplicate"
	WindowViolation    Type = "window_violation"
	LostPromise        Type = "lost_promise"
	Displaced          Type = "displaced"
	PlantedRecord      Type = "planted_record"
	GhostRow           Type = "ghost_row"
	CounterDrift       Type = "counter_drift"
	GateDrift          Type = "gate_drift"
	TermsDrift         Type = "terms_drift"
	StaleEpoch         Type = "stale_epoch"
	ForeignEpoch       Type = "foreign_epoch"
	StuckPending       Type = "stuck_pending"
	FailedEventOverdue Type = "failed_event_overdue"
	ChangeHalfDone     Type = "change_half_done"
	RecordUnaccounted  Type = "record_unaccounted"
	RecordUndecodable  Type = "record_undecodable"
	ConsumerStuck      Type = "consumer_stuck"
)

// Severity is how bad it is.
type Severity string

// The severities, the worst first.
const (
	BrokenRule    Severity = "broken_rule"      // an invariant does not hold: more was issued than may be
	BrokenPromise Severity = "broken_promise"   // somebody was told yes and has nothing
	Drift         Severity = "drift"            // the books do not agree; nobody has lost anything yet
	TooLong       Severity = "waiting_too_long" // work that should be done by now
)

// Kind is what is known of a type.
type Kind struct {
	Type     Type
	Severity Severity
	Repair   string // TAG and COUPON stand for the subject's
}

const person = "a person decides: docs/runbook.md, Findings"

// Kinds are all types, the worst first.
func Kinds() []Kind {
	return []Kind{
		{OverIssued, BrokenRule, person},
		{DoubleIssue, BrokenRule, person},
		{EventLimitBroken, BrokenRule, person},
		{SequenceDuplicate, BrokenRule, person},
		{WindowViolation, BrokenRule, person},
		{LostPromise, BrokenPromise, "batch republish"},
		{Displaced, BrokenPromise, person},
		{PlantedRecord, Drift, person},
		{GhostRow, Drift, "batch republish"},
		{CounterDrift, Drift, "batch reconcile"},
		{GateDrift, Drift, "batch rebuild --force --tag TAG"},
		{TermsDrift, Drift, "batch rebuild --force --tag TAG"},
		{ForeignEpoch, Drift, person},
		{RecordUnaccounted, Drift, "batch reconcile"},
		{RecordUndecodable, Drift, "batch reconcile"},
		{StaleEpoch, TooLong, "batch rebuild --force --tag TAG"},
		{StuckPending, TooLong, "batch republish"},
		{FailedEventOverdue, TooLong, "batch retry"},
		{ChangeHalfDone, TooLong, "batch reconcile"},
		{ConsumerStuck, TooLong, "start consumers, and look at their /readyz"},
	}
}

// Subject is what a finding is about; zero fields do not belong to it. Offset is of use with HasPlace only.
type Subject struct {
	Coupon      int64  `json:"coupon,omitempty"`
	User        string `json:"user,omitempty"`
	Nth         int    `json:"nth,omitempty"`
	Tag         string `json:"tag,omitempty"`
	Seq         int64  `json:"seq,omitempty"`
	Revision    int64  `json:"revision,omitempty"`
	FailedEvent int64  `json:"failed_event,omitempty"`
	Partition   *int32 `json:"partition,omitempty"`
	Offset      *int64 `json:"offset,omitempty"`
}

func (s Subject) String() string {
	var parts []string
	add := func(there bool, format string, arg any) {
		if there {
			parts = append(parts, fmt.Sprintf(format, arg))
		}
	}
	add(s.Coupon != 0, "coupon %d", s.Coupon)
	add(s.User != "", "user %s", s.User)
	add(s.Nth != 0, "nth %d", s.Nth)
	add(s.Coupon == 0 && s.Tag != "", "tag %s", s.Tag)
	add(s.Seq != 0, "seq %d", s.Seq)
	add(s.Revision != 0, "revision %d", s.Revision)
	add(s.FailedEvent != 0, "failed event %d", s.FailedEvent)
	if s.Partition != nil {
		parts = append(parts, fmt.Sprintf("partition %d", *s.Partition))
	}
	if s.Offset != nil {
		parts = append(parts, fmt.Sprintf("offset %d", *s.Offset))
	}
	return strings.Join(parts, ", ")
}

// Place is a place that a repair puts into the log again, as the book that has it says.
type Place struct {
	Coupon     int64
	User       string
	Nth        int
	Key        string
	Seq        int64
	Epoch      int64
	AcceptedUS int64 // microseconds since 1970
}

// RawRecord is a record of the log that a repair judges again, and where it stands. Key and Value are nil where the
// finding has a Place; then they say nothing else.
type RawRecord struct {
	Partition  int32
	Offset     int64
	Key, Value []byte // of the value at most 8 KiB
}

// Finding is one thing that is wrong.
type Finding struct {
	Type     Type     `json:"type"`
	Severity Severity `json:"severity"`
	Subject  Subject  `json:"subject"`
	Evidence string   `json:"evidence"` // numbers, and where they were read
	Repair   string   `json:"repair"`

	Place  *Place     `json:"-"` // what the repair puts into the log
	Record *RawRecord `json:"-"` // what the repair judges again
}

// key says whether two findings are the same one, seen twice; evidence may have moved on.
func (f Finding) key() string { return string(f.Type) + "|" + f.Subject.String() + "|" + f.Subject.Tag }

// findings collects what one pass found.
type findings struct {
	keep   int
	kinds  map[Type]Kind
	counts map[Type]int64
	list   []Finding
	seen   map[string]bool
}

func newFindings(keep int) *findings {
	f := &findings{keep: keep, kinds: map[Type]Kind{}, counts: map[Type]int64{}, seen: map[string]bool{}}
	for _, k := range Kinds() {
		f.kinds[k.Type] = k
	}
	return f
}

// add fills in severity and repair, unless they are given, and counts the finding once.
func (f *findings) add(found Finding) {
	if f.counts[found.Type] >= int64(f.keep) {
		f.counts[found.Type]++
		return
	}
	key := found.key()
	if f.seen[key] {
		return
	}
	f.seen[key] = true
	f.counts[found.Type]++
	kind := f.kinds[found.Type]
	if found.Severity == "" {
		found.Severity = kind.Severity
	}
	if found.Repair == "" {
		found.Repair = strings.ReplaceAll(kind.Repair, "TAG", found.Subject.Tag)
	}
	f.list = append(f.list, found)
}

// confirm keeps what this second pass found and the first one too. Types of which more were found than are kept are
// taken as they are: which of them were kept is chance.
func (f *findings) confirm(first *findings) {
	counts, kept := map[Type]int64{}, make([]Finding, 0, len(f.list))
	for _, found := range f.list {
		many := f.counts[found.Type] > int64(f.keep) && first.counts[found.Type] > int64(f.keep)
		if many || first.seen[found.key()] {
			kept = append(kept, found)
			counts[found.Type]++
		}
	}
	for t := range counts {
		if f.counts[t] > int64(f.keep) {
			counts[t] = f.counts[t]
		}
	}
	f.list, f.counts = kept, counts
}
