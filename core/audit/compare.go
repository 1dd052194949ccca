package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// named bounds the users that one piece of evidence names, and what is remembered of a coupon for it.
const named = 20

// compare holds the books against each other, bucket by bucket.
func (p *pass) compare(ctx context.Context) error {
	for i := range p.claims.bufs {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.sometimes("comparing: %d of %d parts", i, len(p.claims.bufs))
		list, err := p.claims.bucket(i, nil)
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b entry) int {
			return cmp.Or(strings.Compare(a.user, b.user), cmp.Compare(a.coupon, b.coupon))
		})
		for part := range chunkBy(list, func(a, b *entry) bool { return a.user == b.user }) {
			p.user(part)
		}
	}
	for i := range p.numbers.bufs {
		list, err := p.numbers.bucket(i, nil)
		if err != nil {
			return err
		}
		p.duplicates(list)
	}
	for _, t := range p.catalog.order {
		for _, c := range t.coupons {
			p.overCap(c)
		}
	}
	return nil
}

// chunkBy parts a sorted list into runs of equals.
func chunkBy(list []entry, same func(a, b *entry) bool) func(func([]entry) bool) {
	return func(yield func([]entry) bool) {
		for from := 0; from < len(list); {
			to := from + 1
			for to < len(list) && same(&list[from], &list[to]) {
				to++
			}
			if !yield(list[from:to]) {
				return
			}
			from = to
		}
	}
}

// duplicates finds numbers of a coupon that two users have, among its rows and among the holders of its gate.
func (p *pass) duplicates(list []entry) {
	list = slices.DeleteFunc(list, func(e entry) bool { return e.kind == kindHolder && e.scan != p.catalog.coupons[e.coupon].tag.scan })
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.coupon, b.coupon), cmp.Compare(a.seq, b.seq), cmp.Compare(a.kind, b.kind),
			strings.Compare(a.user, b.user), cmp.Compare(a.nth, b.nth))
	})
	for part := range chunkBy(list, func(a, b *entry) bool { return a.coupon == b.coupon && a.seq == b.seq && a.kind == b.kind }) {
		part = slices.CompactFunc(part, func(a, b entry) bool { return a.user == b.user && a.nth == b.nth })
		if len(part) < 2 {
			continue
		}
		book := "rows of table issues"
		if part[0].kind == kindHolder {
			book = "holders of the gate"
		}
		p.found.add(Finding{Type: SequenceDuplicate, Subject: Subject{Coupon: part[0].coupon, Seq: part[0].seq, Tag: p.catalog.coupons[part[0].coupon].tag.name},
			Evidence: fmt.Sprintf("%d %s have this number: %s", len(part), book, users(part))})
	}
}

// users names those of some entries.
func users(list []entry) string {
	var b strings.Builder
	for i := range list[:min(len(list), named)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(list[i].user)
		if list[i].nth > 1 {
			fmt.Fprintf(&b, " (nth %d)", list[i].nth)
		}
	}
	if len(list) > named {
		fmt.Fprintf(&b, " and %d more", len(list)-named)
	}
	return b.String()
}

// user judges everything that the books have of one user.
func (p *pass) user(list []entry) {
	events := map[*tagInfo]*attendance{}
	for part := range chunkBy(list, func(a, b *entry) bool { return a.coupon == b.coupon }) {
		c := p.catalog.coupons[part[0].coupon]
		u := p.sort(c, part)
		u.judge()
		if c.tag.event {
			if events[c.tag] == nil {
				events[c.tag] = &attendance{}
			}
			events[c.tag].add(u)
		}
	}
	for tag, a := range events {
		a.judge(p.found, tag, list[0].user)
	}
}

// attendance is what the books have of one user and the coupons of one event that count for it.
type attendance struct {
	rows, holders []string // the coupons
	members       [2]bool  // read before the holders, and after
}

func (a *attendance) add(u *claims) {
	a.members[0] = a.members[0] || u.members[0]
	a.members[1] = a.members[1] || u.members[1]
	if !u.c.member() {
		return
	}
	if len(u.rows) > 0 {
		a.rows = append(a.rows, fmt.Sprint(u.c.id))
	}
	if len(u.holders) > 0 {
		a.holders = append(a.holders, fmt.Sprint(u.c.id))
	}
}

func (a *attendance) judge(found *findings, tag *tagInfo, user string) {
	drift := func(what string) {
		found.add(Finding{Type: GateDrift, Subject: Subject{User: user, Tag: tag.name}, Evidence: what})
	}
	if len(a.rows) > 1 {
		found.add(Finding{Type: EventLimitBroken, Subject: Subject{User: user, Tag: tag.name},
			Evidence: fmt.Sprintf("rows of table issues of %d coupons of the event: %s", len(a.rows), strings.Join(a.rows, ", "))})
	}
	switch {
	case tag.scan == 0:
	case len(a.holders) > 1:
		drift(fmt.Sprintf("the gate holds places at %d coupons of the event: %s", len(a.holders), strings.Join(a.holders, ", ")))
	case len(a.holders) == 1 && !a.members[1]:
		drift("a holder of coupon " + a.holders[0] + " who is no member of the event")
	case len(a.holders) == 0 && a.members[0] && !tag.more:
		drift("a member of the event who holds no place")
	}
}

// claims is what the books have of one user and one coupon.
type claims struct {
	*pass
	c       *couponInfo
	user    string
	rows    []*entry
	records []*entry
	holders map[int]*entry // by nth; of the sound gate
	pending map[int]bool
	members [2]bool // see attendance
}

func (p *pass) sort(c *couponInfo, list []entry) *claims {
	u := &claims{pass: p, c: c, user: list[0].user, holders: map[int]*entry{}, pending: map[int]bool{}}
	for i := range list {
		e := &list[i]
		if e.scan != 0 && e.scan != c.tag.scan {
			continue // of a reading of the gate that does not count
		}
		switch e.kind {
		case kindRow:
			u.rows = append(u.rows, e)
		case kindRecord:
			u.records = append(u.records, e)
		case kindHolder:
			u.holders[e.nth] = e
		case kindPending:
			u.pending[e.nth] = true
		case kindMember:
			u.members[0] = true
		case kindAfter:
			u.members[1] = true
		}
	}
	return u
}

func (u *claims) subject(nth int) Subject {
	return Subject{Coupon: u.c.id, User: u.user, Nth: nth, Tag: u.c.tag.name}
}

// gateKnown says whether the gate was sound, so that who is not a holder has no place.
func (u *claims) gateKnown() bool { return u.c.tag.scan != 0 }

func (u *claims) judge() {
	u.tooMany()
	for _, row := range u.rows {
		u.row(row)
	}
	for _, record := range u.records {
		if record.is(flagJudged) {
			u.record(record)
		}
	}
	if u.gateKnown() {
		u.gate()
	}
}

// tooMany compares the number of rows with the limit, and claims with each other.
func (u *claims) tooMany() {
	keys := map[string]bool{}
	for _, row := range u.rows {
		if u.c.limit > 1 && row.key != "" && keys[row.key] {
			u.found.add(Finding{Type: DoubleIssue, Subject: u.subject(row.nth), Evidence: fmt.Sprintf("two rows with the idempotency key %s", row.key)})
		}
		keys[row.key] = true
	}
	if len(u.rows) > u.c.limit {
		u.found.add(Finding{Type: DoubleIssue, Subject: u.subject(0),
			Evidence: fmt.Sprintf("%d rows of table issues, and a user may have %d", len(u.rows), u.c.limit)})
	}
}

// sameClaim says whether a record and a row or holder are of one claim: where a user may have several, the key names it.
func (u *claims) sameClaim(a, b *entry) bool {
	if u.c.limit > 1 && a.key != "" {
		return a.key == b.key
	}
	return a.nth == b.nth
}

func (u *claims) row(row *entry) {
	own := slices.ContainsFunc(u.records, func(r *entry) bool { return u.sameClaim(r, row) && r.seq == row.seq && r.at == row.at })
	switch {
	case own, row.at < u.logBegins:
	case slices.ContainsFunc(u.records, func(r *entry) bool { return u.sameClaim(r, row) }):
		u.found.add(Finding{Type: GhostRow, Subject: u.subject(row.nth), Place: row.place(), Evidence: fmt.Sprintf(
			"a row with seq %d, accepted %s; the log has records of this claim, and none of them says so", row.seq, text(row.at))})
	default:
		u.found.add(Finding{Type: GhostRow, Subject: u.subject(row.nth), Place: row.place(), Evidence: fmt.Sprintf(
			"a row with seq %d, accepted %s, and no record of this claim in the log", row.seq, text(row.at))})
	}
	if !u.c.inWindow(row.at) {
		u.found.add(Finding{Type: WindowViolation, Subject: u.subject(row.nth), Evidence: fmt.Sprintf(
			"accepted at %s; the coupon was open from %s", text(row.at), u.c.windowText())})
	}
	if row.epoch > u.c.tag.epoch {
		u.found.add(Finding{Type: ForeignEpoch, Subject: u.subject(row.nth), Evidence: fmt.Sprintf(
			"a row of epoch %d, and the table gates says %d", row.epoch, u.c.tag.epoch)})
	}
	if u.gateKnown() {
		u.rowAndGate(row)
	}
}

func (u *claims) rowAndGate(row *entry) {
	holder := u.holders[row.nth]
	var why string
	switch {
	case holder == nil:
		why = fmt.Sprintf("a row with seq %d, and the gate of epoch %d has no such holder", row.seq, u.c.tag.at)
		if len(u.c.strangers) <= named {
			stranger := *row
			for _, r := range u.records {
				if u.sameClaim(r, row) && r.seq == row.seq {
					stranger.partition, stranger.offset, stranger.kind = r.partition, r.offset, kindRecord
				}
			}
			u.c.strangers = append(u.c.strangers, stranger)
		}
	case holder.seq != row.seq || holder.at != row.at || u.c.limit > 1 && holder.key != row.key:
		why = fmt.Sprintf("the row says seq %d, accepted %s, key %q; the gate says seq %d, accepted %s, key %q",
			row.seq, text(row.at), row.key, holder.seq, text(holder.at), holder.key)
	case holder.is(flagGone) && !row.is(flagGone):
		why = "the gate says that the place was given back, and the row does not"
	default:
		return
	}
	u.found.add(Finding{Type: GateDrift, Subject: u.subject(row.nth), Evidence: why})
}

// record judges a record that the consumers have passed.
func (u *claims) record(r *entry) {
	if slices.ContainsFunc(u.rows, func(row *entry) bool { return u.sameClaim(r, row) }) {
		return
	}
	impossible := r.nth > u.c.limit || u.c.limit > 1 && r.key == ""
	f := Finding{Subject: u.subject(r.nth), Place: r.place(), Record: &RawRecord{Partition: r.partition, Offset: r.offset}}
	what := fmt.Sprintf("the record at %s (seq %d, epoch %d) was passed by the consumers; there is no row", r.where(), r.seq, r.epoch)
	switch {
	case r.epoch > u.c.tag.epoch:
		f.Type, f.Evidence = ForeignEpoch, fmt.Sprintf("%s; the table gates says epoch %d; failed event: %s", what, u.c.tag.epoch, cmp.Or(r.failed, "none"))
	case r.failed == "" && impossible:
		f.Type, f.Evidence = RecordUndecodable, what+" and no failed event, and no gate gives such a place"
	case r.failed == "" && r.is(flagOvertaken):
		f.Type, f.Evidence = RecordUnaccounted, what+" and no failed event; a rebuild overtook it"
	case r.failed == "":
		f.Type, f.Evidence = LostPromise, what+" and no failed event, and no rebuild overtook it"
	case r.failed == "stale_epoch" && !r.is(flagOvertaken):
		f.Type, f.Evidence = LostPromise, what+", its failed event says stale_epoch, and no rebuild overtook it"
	case r.failed == "over_cap" && !r.is(flagOvertaken):
		if n := len(u.c.displaced); n == 0 || u.c.displaced[n-1].user != r.user || u.c.displaced[n-1].nth != r.nth {
			held := *r
			if u.holders[r.nth] != nil {
				held.flags |= flagGone // from here on: the gate holds it
			}
			if n < u.cfg.Keep {
				u.c.displaced = append(u.c.displaced, held)
			}
		}
		return
	default:
		return
	}
	u.found.add(f)
}

// gate judges the user's places in a sound gate.
func (u *claims) gate() {
	for nth, h := range u.holders {
		if u.pending[nth] || h.is(flagGone) {
			continue
		}
		written := slices.ContainsFunc(u.rows, func(r *entry) bool { return u.sameClaim(h, r) })
		logged := slices.ContainsFunc(u.records, func(r *entry) bool { return u.sameClaim(h, r) && r.seq == h.seq })
		if !written && !logged && h.at >= u.logBegins {
			place := h.place()
			place.Epoch = u.c.tag.at
			u.found.add(Finding{Type: LostPromise, Subject: u.subject(nth), Place: place, Evidence: fmt.Sprintf(
				"a settled holder with seq %d in the sound gate of epoch %d, and neither a row nor a record in the log", h.seq, u.c.tag.at)})
		}
	}
	for nth := range u.pending {
		if u.holders[nth] == nil {
			u.found.add(Finding{Type: GateDrift, Subject: u.subject(nth), Evidence: "a pending entry of nobody who holds a place"})
		}
	}
}

// overCap tells the records that were refused because their coupon was full: those whose user the gate holds were
// promised a place and were displaced by others; those whose user it does not hold took nothing.
func (p *pass) overCap(c *couponInfo) {
	for i := range c.displaced {
		r := &c.displaced[i]
		f := Finding{Subject: Subject{Coupon: c.id, User: r.user, Nth: r.nth, Tag: c.tag.name}}
		if c.tag.scan != 0 && c.tag.at == r.epoch && !r.is(flagGone) {
			f.Type = PlantedRecord
			f.Evidence = fmt.Sprintf("the record at %s (seq %d) was refused as over_cap, and the gate of its epoch %d never gave that place", r.where(), r.seq, r.epoch)
			p.found.add(f)
			continue
		}
		f.Type, f.Evidence = Displaced, fmt.Sprintf("the record at %s (seq %d, epoch %d) was refused as over_cap", r.where(), r.seq, r.epoch)
		switch {
		case c.tag.scan == 0:
			f.Evidence += "; the gate is not sound, so it cannot be said who took the place"
		case len(c.strangers) == 0:
			f.Evidence += "; no row is of a user whom the gate does not hold: it was rebuilt since, and knows no more who took the place"
		default:
			f.Evidence += "; places were taken by " + strangers(c.strangers)
		}
		p.found.add(f)
	}
}

// strangers names the rows whose users the gate does not hold, and their records.
func strangers(list []entry) string {
	parts := make([]string, 0, len(list))
	for i := range list[:min(len(list), named)] {
		part := list[i].user
		if list[i].kind == kindRecord {
			part += " (record at " + list[i].where() + ")"
		}
		parts = append(parts, part)
	}
	if len(list) > named {
		parts = append(parts, "and others")
	}
	return strings.Join(parts, ", ")
}
