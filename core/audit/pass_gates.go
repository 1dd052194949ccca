package audit

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// watch is something that looks wrong and may be work in flight. look says what is still wrong.
type watch func(context.Context) ([]Finding, error)

// watched lets every watch look, again and again while time is left, and makes findings of what stays wrong. What was
// found in the pass before had its time then.
func (p *pass) watched(ctx context.Context, watches []watch) error {
	until := time.Now().Add(p.cfg.Settle)
	var wrong [][]Finding
	for {
		var left []watch
		wrong = wrong[:0]
		news := false
		for _, look := range watches {
			list, err := look(ctx)
			if err != nil {
				return err
			}
			if len(list) > 0 {
				left = append(left, look)
				wrong = append(wrong, list)
				news = news || slices.ContainsFunc(list, func(f Finding) bool { return !p.again(f) })
			}
		}
		watches = left
		if !news || !time.Now().Before(until) {
			break
		}
		p.sometimes("waiting for %d things that look wrong to settle", len(watches))
		if err := wait(ctx, lookEvery); err != nil {
			return err
		}
	}
	for _, list := range wrong {
		for _, f := range list {
			p.found.add(f)
		}
	}
	return nil
}

// holders puts the holders of all gates aside that are sound, and waits for those that are not.
func (p *pass) holders(ctx context.Context) error {
	watches := []watch{p.halfDone}
	for i, t := range p.catalog.order {
		if !p.catalog.watches(t.name) || len(t.coupons) == 0 {
			continue
		}
		p.sometimes("reading gates: %d of %d", i, len(p.catalog.order))
		if t.epoch == 0 {
			p.found.add(Finding{Type: GateDrift, Subject: Subject{Tag: t.name}, Repair: person,
				Evidence: fmt.Sprintf("%d coupons have this tag, and the table gates has no row of it", len(t.coupons))})
		}
		if !t.live {
			continue // its sale is over: the database answers for it
		}
		p.looked.Gates++
		g := &gateLook{pass: p, tag: t}
		list, err := g.scan(ctx)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			watches = append(watches, g.whole)
			continue
		}
		watches = append(watches, g.more...)
	}
	return p.watched(ctx, watches)
}

// gateLook is one gate.
type gateLook struct {
	*pass
	tag  *tagInfo
	more []watch // what looked wrong about a sound gate
}

// scan reads the whole gate, if it is sound and stays of one reign meanwhile, and says why not.
func (g *gateLook) scan(ctx context.Context) ([]Finding, error) {
	g.tag.scan, g.more = 0, nil
	before, list, err := g.views(ctx)
	if err != nil || len(list) > 0 {
		return list, err
	}
	g.tag.more = number(before[0].gate, "coupons_n") > int64(len(g.tag.coupons))
	g.scans++
	if err = g.read(ctx, g.scans); err != nil {
		return nil, err
	}
	after, list, err := g.views(ctx)
	if err != nil || len(list) > 0 {
		return list, err
	}
	if !after[0].sameReign(before[0]) {
		return []Finding{{Type: StaleEpoch, Subject: Subject{Tag: g.tag.name}, Evidence: "the gate was rebuilt while it was read, each time"}}, nil
	}
	g.tag.scan, g.tag.at = g.scans, number(after[0].gate, "epoch")
	return g.suspects(ctx, after)
}

// whole reads a gate that was not sound, and what else looks wrong once it is.
func (g *gateLook) whole(ctx context.Context) ([]Finding, error) {
	list, err := g.scan(ctx)
	for _, look := range g.more {
		if err != nil || len(list) > 0 {
			break
		}
		list, err = look(ctx)
	}
	return list, err
}

// views looks at all coupons of the gate; the list is why it is not sound.
func (g *gateLook) views(ctx context.Context) ([]view, []Finding, error) {
	all := make([]view, len(g.tag.coupons))
	for i, c := range g.tag.coupons {
		v, err := g.gates.view(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		if why := v.unsound(g.tag); why.kind != "" {
			f := Finding{Type: why.kind, Subject: Subject{Tag: g.tag.name}, Evidence: why.evidence + " (key " + couponKey(c, "coupon") + ")"}
			if why.kind == GateDrift {
				f.Subject.Coupon = c.id
			}
			return nil, []Finding{f}, nil
		}
		all[i] = v
	}
	if g.tag.event {
		n := number(all[0].gate, "coupons_n")
		if n == int64(len(g.tag.coupons)) {
			return all, nil, nil
		}
		var have int64 // there may be new ones by now
		_, err := each(ctx, g.db.db, func(r *sql.Rows) error { return r.Scan(&have) }, "SELECT COUNT(*) FROM coupons WHERE tag = ?", g.tag.name)
		if err != nil {
			return nil, nil, blind(Database, err)
		}
		if n != have {
			return nil, []Finding{{Type: GateDrift, Subject: Subject{Tag: g.tag.name},
				Evidence: fmt.Sprintf("coupons_n %d, and the table coupons has %d of this tag", n, have)}}, nil
		}
	}
	return all, nil, nil
}

// read puts members, holders and pending entries aside. Pending comes after the holders: who is a holder and not pending
// then was journaled before that. Members are read twice, since of two sets of which both grow each can only be held
// against what is read after it.
func (g *gateLook) read(ctx context.Context, scan int64) error {
	if err := g.members(ctx, kindMember, scan); err != nil {
		return err
	}
	for _, c := range g.tag.coupons {
		n := int64(0)
		err := g.gates.scanHash(ctx, couponKey(c, "holders"), func(field, value string) error {
			e, ok := holderOf(c, field, value)
			if !ok {
				g.found.add(Finding{Type: GateDrift, Subject: Subject{Coupon: c.id, User: e.user, Tag: g.tag.name},
					Evidence: fmt.Sprintf("the holder's value %q cannot be read (key %s)", cut(value), couponKey(c, "holders"))})
				return nil
			}
			e.scan = scan
			if n++; n%scanPage == 0 {
				g.sometimes("reading holders: %d of coupon %d", n, c.id)
			}
			return g.put(c, &e)
		})
		if err != nil {
			return err
		}
		g.looked.Holders += n
		err = g.gates.scanPending(ctx, c, func(field string) error {
			e := entry{kind: kindPending, coupon: c.id, scan: scan}
			e.user, e.nth = userOf(field, c.limit)
			return g.claims.add(hashOf(e.user, 0), &e)
		})
		if err != nil {
			return err
		}
	}
	return g.members(ctx, kindAfter, scan)
}

func (g *gateLook) members(ctx context.Context, as kind, scan int64) error {
	if !g.tag.event {
		return nil
	}
	return g.gates.scanSet(ctx, keyOf(g.tag.name, "members"), func(user string) error {
		e := entry{kind: as, coupon: g.tag.coupons[0].id, user: cut(user), scan: scan}
		return g.claims.add(hashOf(e.user, 0), &e)
	})
}

// suspects watches what looks wrong about a sound gate: an epoch of the future, places that are pending for long, terms
// that the database does not have.
func (g *gateLook) suspects(ctx context.Context, views []view) ([]Finding, error) {
	if epoch := g.tag.at; epoch > g.tag.epoch {
		g.more = append(g.more, func(ctx context.Context) ([]Finding, error) { return g.fromFuture(ctx, epoch) })
	}
	for i, c := range g.tag.coupons {
		v := views[i]
		if list, err := g.old(ctx, c, v.now); err != nil {
			return nil, err
		} else if len(list) > 0 {
			g.more = append(g.more, g.pendings(c, v.now, list))
		}
		if !c.terms.same(v.terms()) {
			g.more = append(g.more, func(ctx context.Context) ([]Finding, error) { return g.terms(ctx, c) })
		}
	}
	return nil, nil
}

func (g *gateLook) fromFuture(ctx context.Context, epoch int64) (list []Finding, err error) {
	_, err = each(ctx, g.db.db, func(r *sql.Rows) error {
		var now int64
		if errScan := r.Scan(&now); errScan != nil {
			return errScan
		}
		if epoch > now {
			list = append(list, Finding{Type: ForeignEpoch, Subject: Subject{Tag: g.tag.name},
				Evidence: fmt.Sprintf("the gate is of epoch %d, and the table gates says %d: the database has lost commits", epoch, now)})
		}
		return nil
	}, "SELECT epoch FROM gates WHERE tag = ?", g.tag.name)
	return list, blind(Database, err)
}

// old are the pending places that should be settled by now.
func (g *gateLook) old(ctx context.Context, c *couponInfo, now int64) (list []Finding, err error) {
	oldest, err := g.gates.pendingOlder(ctx, c, now-pendingGrace.Microseconds(), g.cfg.Keep)
	for _, z := range oldest {
		field, _ := z.Member.(string)
		user, nth := userOf(field, c.limit)
		list = append(list, Finding{Type: StuckPending, Subject: Subject{Coupon: c.id, User: user, Nth: nth, Tag: c.tag.name},
			Evidence: fmt.Sprintf("pending since %s in %s, and Redis' clock says %s", text(int64(z.Score)), couponKey(c, "pending"), text(now))})
	}
	return list, err
}

// pendings watches those that were old at the first look.
func (g *gateLook) pendings(c *couponInfo, now int64, first []Finding) watch {
	at := make(map[string]bool, len(first))
	for _, f := range first {
		at[f.key()] = true
	}
	return func(ctx context.Context) ([]Finding, error) {
		list, err := g.old(ctx, c, now)
		return slices.DeleteFunc(list, func(f Finding) bool { return !at[f.key()] }), err
	}
}

// terms are those that decide at the gate's present; valid is false while others wait for their time.
func (v view) terms() (t terms, valid bool) {
	prefix := ""
	if next := number(v.coupon, "next_at_us"); next >= 0 {
		if v.now < next {
			return t, false
		}
		prefix = "next_"
	}
	t.state = v.coupon[prefix+"state"]
	t.opens, t.closes = number(v.coupon, prefix+"opens_us"), number(v.coupon, prefix+"closes_us")
	if v.coupon[prefix+"cap"] != "" {
		t.total = sql.NullInt64{Int64: number(v.coupon, prefix+"cap"), Valid: true}
	}
	return t, true
}

func (t terms) same(o terms, valid bool) bool { return !valid || t == o }

func (t terms) String() string {
	total := "unlimited"
	if t.total.Valid {
		total = strconv.FormatInt(t.total.Int64, 10)
	}
	return fmt.Sprintf("%s, total %s, %s to %s", t.state, total, text(t.opens), text(t.closes))
}

// terms compares the terms of gate and database while no change is on its way.
func (g *gateLook) terms(ctx context.Context, c *couponInfo) (list []Finding, err error) {
	v, err := g.gates.view(ctx, c)
	if err != nil {
		return nil, err
	}
	has, valid := v.terms()
	if !valid || v.unsound(c.tag).kind != "" {
		return nil, nil
	}
	_, err = each(ctx, g.db.db, func(r *sql.Rows) error {
		var now terms
		var opens, closes instant
		var changing int64
		if errScan := r.Scan(&now.total, &now.state, &opens, &closes, &changing); errScan != nil {
			return errScan
		}
		now.opens, now.closes = opens.us, closes.us
		if changing == 0 && now != has {
			list = append(list, Finding{Type: TermsDrift, Subject: Subject{Coupon: c.id, Tag: c.tag.name},
				Evidence: fmt.Sprintf("the gate decides by %v; the table coupons says %v", has, now)})
		}
		return nil
	}, `SELECT c.total_quantity, c.state, c.opens_at, c.closes_at, (SELECT COUNT(*) FROM coupon_changes ch WHERE ch.coupon_id = c.id
		AND NOT EXISTS (SELECT 1 FROM coupon_change_ends e WHERE e.coupon_id = ch.coupon_id AND e.revision = ch.revision))
		FROM coupons c WHERE c.id = ?`, c.id)
	return list, blind(Database, err)
}
