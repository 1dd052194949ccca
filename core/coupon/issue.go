package coupon

import "time"

// IssueStatus is the status of an issue row.
type IssueStatus string

// The statuses of an issue row.
const (
	StatusIssued  IssueStatus = "issued"
	StatusUsed    IssueStatus = "used"
	StatusExpired IssueStatus = "expired"
	StatusRevoked IssueStatus = "revoked"
)

// What a user is told besides the statuses of a row.
const (
	StatusAccepted = "accepted" // promised, not yet a row
	StatusRejected = "rejected" // the record became a failed event
)

// Issue is one row of the ledger.
type Issue struct {
	Place
	EventID   int64 // 0: none, or the coupon does not count for the event
	Status    IssueStatus
	IssuedAt  time.Time
	UsedAt    time.Time // zero: not used
	ExpiresAt time.Time // zero: never
}

// FailedStatus is the status of a failed event.
type FailedStatus string

// The statuses of a failed event.
const (
	FailedWaiting     FailedStatus = "waiting"     // to be tried again at NextAttemptAt
	FailedReplayed    FailedStatus = "replayed"    // sent through the gate again; that record tells the rest
	FailedQuarantined FailedStatus = "quarantined" // tried often enough; a person decides
)

// FailedEvent is a journal record that did not become an issue row: what, why, where and how often.
type FailedEvent struct {
	ID            int64
	Topic         string
	Partition     int32
	Offset        int64
	RecordKey     string
	Payload       []byte // the record's value, cut to MaxPayloadKept bytes
	Reason        FailReason
	Error         string // for people
	Attempts      int
	NextAttemptAt time.Time
	Status        FailedStatus
	CouponID      int64  // 0: not known
	UserID        string // "": not known
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// MaxPayloadKept bounds what a failed event keeps of a record: a good record has at most about 400 bytes, so this is
// enough to see what a bad one was.
const MaxPayloadKept = 8 << 10
