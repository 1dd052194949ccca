package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/coupon"
)

// FuzzDecode: whatever stands on the topic, Decode neither panics nor disagrees with encoding/json about what it has
// accepted, and what it has accepted is written back and read the same. Its corpus is kept in testdata/fuzz.
func FuzzDecode(f *testing.F) {
	for name := range golden() {
		record, err := os.ReadFile(filepath.Join("testdata", "golden", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
	}
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, record []byte) {
		place, err := Decode(record)
		if err != nil {
			if place != (coupon.Place{}) {
				t.Fatalf("a place beside the error %v: %+v", err, place)
			}
			return
		}
		if len(record) > MaxRecord {
			t.Fatalf("%d bytes were accepted", len(record))
		}
		if err = Check(place); err != nil {
			t.Fatalf("accepted, but %v: %q", err, record)
		}
		var other struct {
			V          int64     `json:"v"`
			CouponID   int64     `json:"coupon_id"`
			UserID     string    `json:"user_id"`
			Nth        int       `json:"nth"`
			Seq        int64     `json:"seq"`
			Epoch      int64     `json:"epoch"`
			AcceptedAt time.Time `json:"accepted_at"`
			Key        string    `json:"key"`
		}
		fields := map[string]json.RawMessage{} // byte for byte, where encoding/json's structs fold case
		if err = json.Unmarshal(record, &fields); err != nil {
			t.Fatalf("accepted, but no JSON object: %v", err)
		}
		for name := range fields {
			if !isKnown(name) {
				delete(fields, name)
			}
		}
		exact, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if err = json.Unmarshal(exact, &other); err != nil {
			t.Fatalf("accepted, but encoding/json says %v: %q", err, record)
		}
		want := coupon.Place{
			CouponID: other.CouponID, UserID: other.UserID, Nth: other.Nth, Seq: other.Seq, Epoch: other.Epoch,
			AcceptedAt: other.AcceptedAt.UTC(), Key: other.Key,
		}
		if other.V != Version || place != want {
			t.Fatalf("read %+v\nbut encoding/json %+v of version %d", place, want, other.V)
		}
		again, err := Decode(Encode(nil, place))
		if err != nil || again != place {
			t.Fatalf("written back and read again: %+v, %v\nfirst: %+v", again, err, place)
		}
	})
}

func isKnown(name string) bool {
	for _, n := range fieldNames() {
		if n == name {
			return true
		}
	}
	return false
}

func TestEveryPlaceIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		place := coupon.Place{
			CouponID:   rapid.Int64Range(1, coupon.MaxID).Draw(t, "coupon"),
			UserID:     rapid.StringMatching(`[A-Za-z0-9._:@-]{1,64}`).Draw(t, "user"),
			Nth:        rapid.IntRange(1, coupon.MaxPerUserLimit).Draw(t, "nth"),
			Seq:        rapid.Int64Range(1, coupon.MaxID).Draw(t, "seq"),
			Epoch:      rapid.Int64Range(1, coupon.MaxID).Draw(t, "epoch"),
			AcceptedAt: time.UnixMicro(rapid.Int64Range(946684800_000_000, 253402300799_999_999).Draw(t, "µs")).UTC(),
			Key:        rapid.StringMatching(`([A-Za-z0-9._:-]{1,64})?`).Draw(t, "key"),
		}
		read, err := Decode(Encode(nil, place))
		if err != nil || read != place {
			t.Fatalf("wrote %+v\nread  %+v, %v", place, read, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	record := []byte(good)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	place := golden()["limit_one.json"]
	record := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		record = Encode(record[:0], place)
	}
}
