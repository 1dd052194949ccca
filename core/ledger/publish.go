package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/firstcome/firstcome/core/coupon"
)

// CreateCoupons books coupons and, for those of no event, their gates at epoch 1, all good ones in one transaction (rule
// 29). A coupon of an event takes the epoch of the event's gate, read under its lock, so that two who publish for one
// event see each other's coupons among the siblings. The answers are in the order of the coupons; a bad coupon does not
// hurt its neighbours. An error that is none of package coupon's stands in the answers of all: nothing is known then.
func (b *Book) CreateCoupons(ctx context.Context, coupons []coupon.Coupon) []coupon.Created {
	for try := 1; ; try++ {
		var answers []coupon.Created
		err := b.write(ctx, func(tx *gorm.DB) error {
			p := publishing{tx: tx, coupons: coupons, answers: make([]coupon.Created, len(coupons))}
			answers = p.answers
			return p.run()
		})
		if duplicate(err) && try < createTries {
			continue // somebody took a name or an id after we looked; now it can be seen
		}
		if err != nil {
			for i := range answers {
				answers[i] = coupon.Created{Err: fmt.Errorf("create coupons: %w", err)}
			}
			if answers == nil { // the transaction did not begin
				answers = slices.Repeat([]coupon.Created{{Err: fmt.Errorf("create coupons: %w", err)}}, len(coupons))
			}
		}
		return answers
	}
}

// publishing is one run of CreateCoupons.
type publishing struct {
	tx      *gorm.DB
	coupons []coupon.Coupon
	answers []coupon.Created
	epochs  map[string]int64   // gates of the events
	members map[string][]int64 // coupons of the events
}

func (p *publishing) run() error {
	if err := p.lockEvents(); err != nil {
		return err
	}
	if err := p.judge(); err != nil {
		return err
	}
	return p.insert()
}

// lockEvents locks the events' gates, in tag order, and reads who is there already.
func (p *publishing) lockEvents() error {
	p.epochs, p.members = map[string]int64{}, map[string][]int64{}
	var tags []string
	for _, c := range p.coupons {
		if c.EventID != 0 {
			tags = append(tags, c.Tag())
		}
	}
	slices.Sort(tags)
	for part := range chunks(slices.Compact(tags), chunk) {
		var gates []gateRow
		if err := forUpdate(p.tx).Where("tag IN ?", part).Order("tag").Find(&gates).Error; err != nil {
			return err
		}
		for _, g := range gates {
			p.epochs[g.Tag] = g.Epoch
		}
		var there []couponRow
		if err := p.tx.Select("id", "tag").Where("tag IN ?", part).Find(&there).Error; err != nil {
			return err
		}
		for _, c := range there {
			p.members[c.Tag] = append(p.members[c.Tag], c.ID)
		}
	}
	return nil
}

// judge sets Err in the answer of each coupon that cannot be booked.
func (p *publishing) judge() error {
	var vendors, ids []int64
	var names, tags []string
	for _, c := range p.coupons {
		vendors, ids, names, tags = append(vendors, c.VendorID), append(ids, c.ID), append(names, c.Name), append(tags, c.Tag())
	}
	knownVendors, err := present(p.tx, "vendors", "id", vendors)
	if err != nil {
		return err
	}
	takenIDs, err := present(p.tx, "coupons", "id", ids)
	if err != nil {
		return err
	}
	takenNames, err := present(p.tx, "coupons", "name", names)
	if err != nil {
		return err
	}
	takenNames = mapKeys(takenNames, trimName)
	takenTags, err := present(p.tx, "gates", "tag", tags)
	if err != nil {
		return err
	}
	for i, c := range p.coupons {
		name, tag := trimName(c.Name), c.Tag()
		err := c.Validate()
		switch {
		case err != nil:
		case !knownVendors[c.VendorID]:
			err = coupon.ErrVendorNotFound
		case c.EventID != 0 && p.epochs[tag] == 0:
			err = coupon.ErrEventNotFound
		case c.EventID != 0 && len(p.members[tag]) >= coupon.MaxSiblings:
			err = &coupon.FieldError{Field: "event_id", Detail: fmt.Sprintf("this event has its %d coupons", coupon.MaxSiblings)}
		case takenNames[name]:
			err = coupon.ErrNameTaken
		case takenIDs[c.ID] || c.EventID == 0 && takenTags[tag]:
			err = coupon.ErrIDTaken
		default:
			takenNames[name], takenIDs[c.ID] = true, true
			p.members[tag] = append(p.members[tag], c.ID)
		}
		p.answers[i].Err = err
	}
	return nil
}

func (p *publishing) insert() error {
	now := time.Now()
	var rows []couponRow
	var gates []gateRow
	for _, ids := range p.members {
		slices.Sort(ids)
	}
	for i, c := range p.coupons {
		if p.answers[i].Err != nil {
			continue
		}
		rows = append(rows, couponToRow(c, now))
		p.answers[i].Epoch = 1
		if c.EventID != 0 {
			p.answers[i].Epoch = p.epochs[c.Tag()]
		} else {
			gates = append(gates, newGate(c.Tag(), at(now)))
		}
		p.answers[i].Siblings = p.members[c.Tag()]
	}
	for part := range chunks(gates, chunk) {
		if err := p.tx.Create(&part).Error; err != nil {
			return err
		}
	}
	for part := range chunks(rows, chunk) {
		if err := p.tx.Create(&part).Error; err != nil {
			return err
		}
	}
	return nil
}

// present says which of the values stand in the column.
func present[T comparable](tx *gorm.DB, table, column string, values []T) (map[T]bool, error) {
	found := make(map[T]bool)
	for part := range chunks(values, chunk) {
		var rows []T
		if err := tx.Table(table).Where(column+" IN ?", part).Pluck(column, &rows).Error; err != nil {
			return nil, err
		}
		for _, v := range rows {
			found[v] = true
		}
	}
	return found, nil
}

// trimName is what the databases compare of a name: not the blanks at its end.
func trimName(name string) string { return strings.TrimRight(name, " ") }

func mapKeys[K comparable](set map[K]bool, by func(K) K) map[K]bool {
	out := make(map[K]bool, len(set))
	for k := range set {
		out[by(k)] = true
	}
	return out
}

// Epochs reads the epochs of gates; a tag without a gate is left out.
func (b *Book) Epochs(ctx context.Context, tags []string) (map[string]int64, error) {
	epochs := make(map[string]int64, len(tags))
	for part := range chunks(tags, chunk) {
		var gates []gateRow
		if err := b.read.WithContext(ctx).Select("tag", "epoch").Where("tag IN ?", part).Find(&gates).Error; err != nil {
			return nil, fmt.Errorf("read epochs: %w", err)
		}
		for _, g := range gates {
			epochs[g.Tag] = g.Epoch
		}
	}
	return epochs, nil
}
