package audit

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Config says where the three books are, and how patiently they are looked at.
type Config struct {
	DSN   string // go-sql-driver form, or sqlite:PATH
	Redis Redis
	Kafka Kafka

	// Coupon limits the judgement to one coupon and what decides together with it; 0: all. The log is read whole.
	Coupon int64
	// Settle is how long what looks wrong and may be work in flight is waited for; 0: not at all.
	Settle time.Duration
	// Overdue is how late a failed event may be tried again; 0: DefaultOverdue.
	Overdue time.Duration
	// Keep bounds the findings of one type that are kept; all are counted. 0: DefaultKeep.
	Keep int
	// Dir is where what does not fit in memory goes, about 150 bytes an issue; empty: the system's folder for such files.
	Dir string
	// Progress is told, every few seconds of a long reading, what is being done; nil: nobody wants to know.
	Progress func(string)
}

// Redis is where the gates are.
type Redis struct {
	Mode       string   // single, cluster or sentinel
	Addrs      []string // host:port
	DB         int
	MasterName string // sentinel only
	Username   string
	Password   string
}

// Kafka is where the log is.
type Kafka struct {
	Brokers []string
	Topic   string
	Group   string        // of the consumers that write the rows
	Timeout time.Duration // of one exchange; 0: 10 s
}

const (
	// DefaultOverdue is above the lease of a retry whose answer was lost (5 min) with room for the retry itself.
	DefaultOverdue = 10 * time.Minute
	// DefaultKeep findings of one type have about 5 MB.
	DefaultKeep = 10_000
	// pendingGrace is how old a pending place is before it is watched at all: claims settle within their answer's
	// time (2 s), the sweeper takes what is older than 3 s, once a second.
	pendingGrace = 10 * time.Second
	// changeGrace is how old a change without an end is before it is watched: its maker goes on for seconds, and batch
	// takes up what is older than that every 10 s.
	changeGrace = time.Minute
	// lookEvery is the pause between two looks at what is watched.
	lookEvery = 500 * time.Millisecond
	// sayEvery is the pause between two words of progress.
	sayEvery = 2 * time.Second
	// scanPage is how many fields one HSCAN asks for: less than a millisecond of Redis' one thread.
	scanPage = 1000
	// rowPage is how many rows one statement reads.
	rowPage = 5000
)

// Book names one of the three books.
type Book string

// The three books.
const (
	Database Book = "database"
	Log      Book = "log"
	Gates    Book = "gates"
)

// BlindError says that one of the three books could not be looked at: nothing is known, and nothing is judged.
type BlindError struct {
	Book Book
	Err  error
}

func (e *BlindError) Error() string {
	return fmt.Sprintf("could not look at the %s: %v", e.Book, e.Err)
}

// Unwrap returns what went wrong.
func (e *BlindError) Unwrap() error { return e.Err }

// NoCouponError says that the database has no coupon of Config.Coupon. It was looked at, so nobody was blind.
type NoCouponError struct{ Coupon int64 }

func (e *NoCouponError) Error() string { return fmt.Sprintf("there is no coupon %d", e.Coupon) }

// blind wraps err, unless it says already which book it was, or there is none, or it is about no book.
func blind(b Book, err error) error {
	var before *BlindError
	var none *NoCouponError
	if err == nil || errors.As(err, &before) || errors.As(err, &none) {
		return err
	}
	return &BlindError{Book: b, Err: err}
}

// unopened says what a newcomer should look at when a book does not open. where is its address or path.
func unopened(err error, what, where, setting string) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens at %s: is %s running, is %s right? (%w)", where, what, setting, err)
	}
	return fmt.Errorf("%s at %s does not open; is %s right? (%w)", what, where, setting, err)
}

func (c Config) withDefaults() Config {
	if c.Overdue <= 0 {
		c.Overdue = DefaultOverdue
	}
	if c.Keep <= 0 {
		c.Keep = DefaultKeep
	}
	if c.Kafka.Timeout <= 0 {
		c.Kafka.Timeout = 10 * time.Second
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}
