package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// kind is which book an entry is of.
type kind byte

const (
	kindRow     kind = 'r' // a row of the database
	kindRecord  kind = 'j' // a record of the log
	kindHolder  kind = 'h' // a holder of a gate
	kindPending kind = 'p' // a pending entry of a gate
	kindMember  kind = 'm' // a member of an event's gate, read before its holders
	kindAfter   kind = 'a' // the same, read after its holders
)

// Flags of an entry.
const (
	flagGone      = 1 << iota // row: revoked. holder: given back
	flagJudged                // record: the consumers have committed an offset above it
	flagOvertaken             // record: some barrier overtakes it
)

// entry is one line of one book, as it is compared.
type entry struct {
	kind      kind
	flags     byte
	coupon    int64 // a member's: the first of the event
	user      string
	nth       int
	key       string // idempotency key
	seq       int64
	epoch     int64  // row and record
	at        int64  // accepted, us since 1970
	partition int32  // record
	offset    int64  // record
	failed    string // record: the reason of its failed event; "": none
	scan      int64  // holder, pending and member: which reading of the gate
}

func (e *entry) is(flag byte) bool { return e.flags&flag != 0 }

// append writes the entry behind b.
func (e *entry) append(b []byte) []byte {
	b = append(b, byte(e.kind), e.flags)
	for _, n := range [...]int64{e.coupon, int64(e.nth), e.seq, e.epoch, e.at, int64(e.partition), e.offset, e.scan} {
		b = binary.AppendVarint(b, n)
	}
	for _, s := range [...]string{e.user, e.key, e.failed} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

var errSpill = errors.New("what was put aside on disk does not read back")

// read takes an entry off the front of b.
func (e *entry) read(b []byte) (rest []byte, err error) {
	if len(b) < 2 {
		return nil, errSpill
	}
	e.kind, e.flags, b = kind(b[0]), b[1], b[2:]
	var numbers [8]int64
	for i := range numbers {
		n, size := binary.Varint(b)
		if size <= 0 {
			return nil, errSpill
		}
		numbers[i], b = n, b[size:]
	}
	e.coupon, e.nth, e.seq, e.epoch, e.at = numbers[0], int(numbers[1]), numbers[2], numbers[3], numbers[4]
	e.partition, e.offset, e.scan = int32(numbers[5]), numbers[6], numbers[7]
	for _, s := range [...]*string{&e.user, &e.key, &e.failed} {
		size, used := binary.Uvarint(b)
		if used <= 0 || uint64(len(b)-used) < size {
			return nil, errSpill
		}
		*s, b = string(b[used:used+int(size)]), b[used+int(size):]
	}
	return b, nil
}

// where says where a record stands.
func (e *entry) where() string { return fmt.Sprintf("partition %d offset %d", e.partition, e.offset) }

func (e *entry) place() *Place {
	return &Place{Coupon: e.coupon, User: e.user, Nth: e.nth, Key: e.key, Seq: e.seq, Epoch: e.epoch, AcceptedUS: e.at}
}
