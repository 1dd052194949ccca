package journal

import (
	"bytes"
	"errors"
	"slices"
)

// field is the place of a known field in fields and fieldNames.
type field int

const (
	fieldV field = iota
	fieldCouponID
	fieldUserID
	fieldNth
	fieldSeq
	fieldEpoch
	fieldAcceptedAt
	fieldKey
	fieldCount
)

// fieldNames are the known fields as they stand in a record.
func fieldNames() [fieldCount]string {
	return [fieldCount]string{"v", "coupon_id", "user_id", "nth", "seq", "epoch", "accepted_at", "key"}
}

func (f field) String() string { return fieldNames()[f] }

// fields are the known fields' raw values, each a slice of the record; nil is not there.
type fields [fieldCount][]byte

// split finds the known fields of a record that json.Valid has let through, so that it need not look for mistakes of
// form itself. encoding/json would take "SEQ" for "seq" and the last of two "seq": two readers would read two places.
func split(record []byte) (found fields, err error) {
	at := blanks(record, 0)
	if record[at] != '{' {
		return found, errors.New("not a JSON object")
	}
	names := fieldNames()
	for at = blanks(record, at+1); record[at] != '}'; at = blanks(record, at) {
		if record[at] == ',' {
			at = blanks(record, at+1)
		}
		end := value(record, at)
		name, err := unquote(record[at:end])
		if err != nil {
			return found, err
		}
		at = blanks(record, blanks(record, end)+1) // over the colon
		end = value(record, at)
		if f := slices.Index(names[:], name); f >= 0 {
			if found[f] != nil {
				return found, fieldErr(name, "is there twice")
			}
			found[f] = record[at:end]
		}
		at = end
	}
	return found, nil
}

// blanks returns the place of the first byte from at on that is no white space.
func blanks(record []byte, at int) int {
	for at < len(record) && bytes.IndexByte([]byte(" \t\r\n"), record[at]) >= 0 {
		at++
	}
	return at
}

// value returns the end of the JSON value that begins at a place.
func value(record []byte, at int) int {
	depth := 0
	for i := at; i < len(record); i++ {
		switch record[i] {
		case '"':
			i = quoted(record, i)
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return i // the end of what the scalar stands in
			}
			depth--
		case ',', ' ', '\t', '\r', '\n', ':':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue // inside a number or a word
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(record)
}

// quoted returns the place of the closing quote of the string that opens at a place.
func quoted(record []byte, at int) int {
	for i := at + 1; ; i++ {
		switch record[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
}
