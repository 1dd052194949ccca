package ledger

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// stampForm is how a time is sent to either database: UTC, microseconds, one width, so that SQLite's text sorts.
const stampForm = "2006-01-02 15:04:05.000000"

// latest is the greatest time that both databases hold.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)

// stamp is a time column; the zero time is NULL.
type stamp struct{ time.Time }

// at makes a stamp; a time beyond the year 9999 becomes the last one that there is.
func at(t time.Time) stamp {
	if t.After(latest) {
		return stamp{latest}
	}
	return stamp{t}
}

// Value implements driver.Valuer.
func (s stamp) Value() (driver.Value, error) {
	if s.IsZero() {
		return nil, nil
	}
	return s.UTC().Format(stampForm), nil
}

// appendSQL appends the stamp as a literal.
func (s stamp) appendSQL(b []byte) []byte {
	if s.IsZero() {
		return append(b, "NULL"...)
	}
	b = append(b, '\'')
	b = s.UTC().AppendFormat(b, stampForm)
	return append(b, '\'')
}

// Scan implements sql.Scanner.
func (s *stamp) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		s.Time = time.Time{}
		return nil
	case time.Time:
		s.Time = v.UTC()
		return nil
	case []byte:
		return s.parse(string(v))
	case string:
		return s.parse(v)
	default:
		return fmt.Errorf("a time column holds a %T", src)
	}
}

func (s *stamp) parse(text string) error {
	t, err := time.Parse("2006-01-02 15:04:05", text) // takes a fraction of any length
	if err != nil {
		return fmt.Errorf("a time column holds something else: %w", err)
	}
	s.Time = t
	return nil
}
