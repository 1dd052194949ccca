package ledger

import (
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// The rows as the migrations define them. They stay in this package; others see the nouns of package coupon.

type vendorRow struct {
	ID        int64
	Name      string
	Balance   int64
	CreatedAt stamp
}

type eventRow struct {
	ID        int64
	Name      string
	StartsAt  stamp
	EndsAt    stamp
	CreatedAt stamp
}

type couponRow struct {
	ID              int64
	VendorID        int64
	EventID         *int64
	Tag             string
	Name            string
	Kind            string
	TotalQuantity   *int64
	IssuedCount     int64
	PerUserLimit    int
	State           string
	OpensAt         stamp
	ClosesAt        stamp
	Revision        int64
	AppliedRevision int64
	DiscountType    *string
	DiscountValue   int64
	MinOrderAmount  int64
	Stackable       bool
	ValidForDays    *int
	MaxUses         *int64
	CreatedAt       stamp
}

type changeRow struct {
	CouponID     int64
	Revision     int64
	Epoch        int64
	StoredFirst  bool
	FromTotal    *int64
	FromState    string
	FromOpensAt  stamp
	FromClosesAt stamp
	ToTotal      *int64
	ToState      string
	ToOpensAt    stamp
	ToClosesAt   stamp
	Reason       string
	ChangedBy    string
	CreatedAt    stamp
}

type changeEndRow struct {
	CouponID int64
	Revision int64
	Outcome  string
	EndedAt  stamp
}

type gateRow struct {
	Tag        string `gorm:"primaryKey"`
	Epoch      int64
	State      string
	Owner      string
	LeaseUntil stamp
	CreatedAt  stamp
	UpdatedAt  stamp
}

type barrierRow struct {
	Tag         string
	Epoch       int64
	PartitionNo int32
	NotedEnd    int64
}

type issueRow struct {
	CouponID       int64
	UserID         string
	Nth            int
	Seq            int64
	Epoch          int64
	Status         string
	EventID        *int64
	IdempotencyKey *string
	AcceptedAt     stamp
	IssuedAt       stamp
	UsedAt         stamp
	ExpiresAt      stamp
}

type failedRow struct {
	ID            int64 `gorm:"primaryKey"`
	Topic         string
	PartitionNo   int32
	OffsetNo      int64
	RecordKey     []byte
	Payload       []byte
	Reason        string
	Error         string
	Attempts      int
	NextAttemptAt stamp
	Status        string
	CouponID      *int64
	UserID        *string
	LeaseOwner    string
	LeaseUntil    stamp
	CreatedAt     stamp
	UpdatedAt     stamp
}

type leaseRow struct {
	Name  string
	Owner string
	Until stamp
}

func (vendorRow) TableName() string    { return "vendors" }
func (eventRow) TableName() string     { return "events" }
func (couponRow) TableName() string    { return "coupons" }
func (changeRow) TableName() string    { return "coupon_changes" }
func (changeEndRow) TableName() string { return "coupon_change_ends" }
func (gateRow) TableName() string      { return "gates" }
func (barrierRow) TableName() string   { return "gate_barriers" }
func (issueRow) TableName() string     { return "issues" }
func (failedRow) TableName() string    { return "failed_events" }
func (leaseRow) TableName() string     { return "leases" }

// States of a gate's row.
const gateLive = "live" // its tag is on sale; a retired one is answered by the database alone

func couponToRow(c coupon.Coupon, now time.Time) couponRow {
	row := couponRow{
		ID: c.ID, VendorID: c.VendorID, Tag: c.Tag(), Name: c.Name, Kind: string(c.Kind), TotalQuantity: c.Total,
		PerUserLimit: c.PerUserLimit, State: string(c.State), OpensAt: at(c.OpensAt), ClosesAt: at(c.ClosesAt),
		Revision: c.Revision, AppliedRevision: c.Revision, DiscountValue: c.DiscountValue,
		MinOrderAmount: c.MinOrderAmount, Stackable: c.Stackable, MaxUses: c.MaxUses, CreatedAt: at(now),
	}
	row.EventID = nullable(c.EventID)
	row.DiscountType = nullable(string(c.DiscountType))
	row.ValidForDays = nullable(c.ValidForDays)
	return row
}

func (r couponRow) coupon() coupon.Coupon {
	return coupon.Coupon{
		ID: r.ID, VendorID: r.VendorID, EventID: value(r.EventID), Name: r.Name, Kind: coupon.Kind(r.Kind),
		Terms:        r.terms(),
		PerUserLimit: r.PerUserLimit, DiscountType: coupon.DiscountType(value(r.DiscountType)),
		DiscountValue: r.DiscountValue, MinOrderAmount: r.MinOrderAmount, Stackable: r.Stackable,
		ValidForDays: value(r.ValidForDays), MaxUses: r.MaxUses, IssuedCount: r.IssuedCount, Revision: r.Revision,
		Applied: r.AppliedRevision, CreatedAt: r.CreatedAt.Time,
	}
}

func (r couponRow) terms() coupon.Terms {
	return coupon.Terms{
		Total: r.TotalQuantity, State: coupon.State(r.State), OpensAt: r.OpensAt.Time, ClosesAt: r.ClosesAt.Time,
	}
}

func (r issueRow) place() coupon.Place {
	return coupon.Place{
		CouponID: r.CouponID, UserID: r.UserID, Nth: r.Nth, Seq: r.Seq, Epoch: r.Epoch, AcceptedAt: r.AcceptedAt.Time,
		Key: value(r.IdempotencyKey), Revoked: r.Status == string(coupon.StatusRevoked),
	}
}

func (r issueRow) issue() coupon.Issue {
	return coupon.Issue{
		Place: r.place(), EventID: value(r.EventID), Status: coupon.IssueStatus(r.Status), IssuedAt: r.IssuedAt.Time,
		UsedAt: r.UsedAt.Time, ExpiresAt: r.ExpiresAt.Time,
	}
}

func (r failedRow) event() coupon.FailedEvent {
	return coupon.FailedEvent{
		ID: r.ID, Topic: r.Topic, Partition: r.PartitionNo, Offset: r.OffsetNo, RecordKey: string(r.RecordKey),
		Payload: r.Payload, Reason: coupon.FailReason(r.Reason), Error: r.Error, Attempts: r.Attempts,
		NextAttemptAt: r.NextAttemptAt.Time, Status: coupon.FailedStatus(r.Status), CouponID: value(r.CouponID),
		UserID: value(r.UserID), CreatedAt: r.CreatedAt.Time, UpdatedAt: r.UpdatedAt.Time,
	}
}

// nullable is NULL for the zero value, which in these columns means "none".
func nullable[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}
