package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// maxCursor bounds a cursor in characters: the longest of ours has 47.
const maxCursor = 64

// cursorKind says which list a cursor belongs to.
type cursorKind byte

const (
	couponsCursor cursorKind = 'c'
	issuesCursor  cursorKind = 'i'
	failedCursor  cursorKind = 'f'
)

// A cursor is the kind, numbers that name the last item, and a checksum, in base64url. It is opaque so that it may
// change. The checksum tells ours from what is not; it is no secret, and needs none: what a made-up cursor could say is
// still checked, and only names where in the list to go on.
const checksumSize = 4

func encodeCursor(kind cursorKind, numbers ...int64) string {
	b := []byte{byte(kind)}
	for _, n := range numbers {
		b = binary.AppendUvarint(b, uint64(n)) // ids and times since 1970 are not negative
	}
	return base64.RawURLEncoding.EncodeToString(append(b, checksum(b)...))
}

// decodeCursor fills numbers; false: it is not ours, or of another list.
func decodeCursor(kind cursorKind, cursor string, numbers ...*int64) bool {
	if len(cursor) > maxCursor {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) <= checksumSize || strings.ContainsAny(cursor, "\r\n") { // even a strict decoder skips line ends
		return false
	}
	body, sum := b[:len(b)-checksumSize], b[len(b)-checksumSize:]
	if !bytes.Equal(sum, checksum(body)) || body[0] != byte(kind) {
		return false
	}
	rest := body[1:]
	for _, n := range numbers {
		value, size := binary.Uvarint(rest)
		if size <= 0 || value > 1<<62 {
			return false
		}
		*n, rest = int64(value), rest[size:]
	}
	return len(rest) == 0
}

func checksum(b []byte) []byte {
	sum := sha256.Sum256(append([]byte("firstcome cursor\x00"), b...))
	return sum[:checksumSize]
}

func badCursor() *coupon.FieldError {
	return fieldError("cursor", "must be the next_cursor of a page of this list, unchanged")
}

// afterID reads the cursor of a list in the order of ids; 0: from the beginning.
func afterID(kind cursorKind, cursor *string) (int64, error) {
	if cursor == nil {
		return 0, nil
	}
	var id int64
	if !decodeCursor(kind, *cursor, &id) || id < 1 {
		return 0, badCursor()
	}
	return id, nil
}

func issueCursor(k IssueKey) string {
	return encodeCursor(issuesCursor, k.AcceptedAt.UnixMicro(), k.CouponID, int64(k.Nth))
}

func afterIssue(cursor *string) (IssueKey, error) {
	if cursor == nil {
		return IssueKey{}, nil
	}
	var accepted, couponID, nth int64
	if !decodeCursor(issuesCursor, *cursor, &accepted, &couponID, &nth) ||
		couponID < 1 || couponID > coupon.MaxID || nth < 1 || nth > coupon.MaxPerUserLimit || accepted > maxMicros {
		return IssueKey{}, badCursor()
	}
	return IssueKey{AcceptedAt: time.UnixMicro(accepted).UTC(), CouponID: couponID, Nth: int(nth)}, nil
}

// maxMicros is the end of the year 9999, the last that RFC 3339 and the databases can say.
const maxMicros = 253_402_300_799_999_999

// page cuts a list that was read with one item more than asked for, and says whether there are more.
func page[T any](items []T, limit int) (cut []T, more bool) {
	if len(items) <= limit {
		return items, false
	}
	return items[:limit], true
}

func limitOf(limit *int) int {
	if limit == nil {
		return coupon.DefaultPage
	}
	return *limit
}
