package groupreader

import (
	"bytes"
	"strconv"

	"github.com/IBM/sarama"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/ledger"
)

const (
	maxKey      = 256  // of a record's key; ours are user ids of 64
	maxAttempts = 1000 // more in the header are nonsense; the batch gives up after far fewer
	recordRoom  = 256  // what a record weighs in memory besides its key and value
)

// recordOf is what the Writer gets for a message, and how many bytes the message keeps alive. Nothing of a message is
// refused here: what cannot be decoded is a record with Broken.
func recordOf(m *sarama.ConsumerMessage) (ledger.Record, int) {
	r := ledger.Record{
		Partition: m.Partition, Offset: m.Offset, Key: cut(m.Key, maxKey), Payload: cut(m.Value, coupon.MaxPayloadKept), Attempts: attempts(m.Headers),
	}
	if r.Place, r.Broken = journal.Decode(m.Value); r.Broken != nil {
		r.Reason = journal.Reason(r.Broken)
	}
	return r, len(m.Key) + len(m.Value) + recordRoom
}

// cut copies where it cuts, so that the rest can be freed.
func cut(b []byte, most int) []byte {
	if len(b) <= most {
		return b
	}
	return bytes.Clone(b[:most])
}

func attempts(headers []*sarama.RecordHeader) int {
	for _, h := range headers {
		if string(h.Key) != journal.HeaderAttempts {
			continue
		}
		if n, err := strconv.Atoi(string(cut(h.Value, 8))); err == nil && n >= 0 && n <= maxAttempts {
			return n
		}
	}
	return 0
}
