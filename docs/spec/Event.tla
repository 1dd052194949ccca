------------------------------- MODULE Event -------------------------------
(***************************************************************************)
(* An event: several coupons of one place a user together, behind one gate *)
(* with one epoch and one set of members (TAG e<event id>). A coupon may   *)
(* join the sound gate of the live event; a place that was given back      *)
(* keeps its user a member; the database has UNIQUE(event, user).          *)
(*                                                                         *)
(* The journal is a set of records that know whether they landed behind a  *)
(* barrier; pending entries, memories and give-backs in steps are in       *)
(* Firstcome.tla and GiveBack.tla.                                         *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS Users,
          Joins,     \* how many of the two coupons join later: 0 or 1
          MaxEpoch,  \* epochs 2..MaxEpoch are rebuilds
          MaxLoss,   \* how often Redis loses something
          Return,    \* places may be given back
          Broken

VARIABLES gate, losses, decided, promised, log, rows, failed, epoch, noted, rb, coupons

vars == <<gate, losses, decided, promised, log, rows, failed, epoch, noted, rb, coupons>>
Kept(rule) == rule \notin Broken

Both     == {1, 2}
Rebuilds == 2..MaxEpoch
Empty    == [u \in Users |-> 0]
Who(f)   == {u \in Users : f[u] # 0}
Max(S)   == CHOOSE x \in S \cup {0} : \A y \in S : y <= x
Symmetry == Permutations(Users)
Cap      == 1

\* has: the coupons whose hash is there; cn: how many there must be. n, hold, last by
\* coupon; hold is user -> seq. gone: who gave the place back.
NoGate     == [st |-> "none", ep |-> 0, has |-> {}, cn |-> 0, mem |-> {}, mn |-> 0, gone |-> {},
               n |-> [c \in Both |-> 0], last |-> [c \in Both |-> 0], hold |-> [c \in Both |-> Empty]]
Marked(k)  == [NoGate EXCEPT !.st = "mark", !.ep = k]
Members(h, of) == {u \in Users : \E c \in of : h[c][u] > 0}
Opened(k, h, g, cs) ==
  LET m == Members(h, IF Kept("all_coupons") THEN cs ELSE {Max(cs)}) IN
  [st |-> "open", ep |-> k, has |-> cs, cn |-> Cardinality(cs), mem |-> m, mn |-> Cardinality(m), gone |-> g,
   n |-> [c \in Both |-> Cardinality(Who(h[c]) \ {u \in Who(h[c]) : <<c, u>> \in g})],
   last |-> [c \in Both |-> Max({h[c][u] : u \in Users})], hold |-> h]

SoundEvent == /\ gate.st = "open"
              /\ Kept("members_n") => gate.mn = Cardinality(gate.mem)
              /\ Kept("coupons_n") => gate.cn = Cardinality(gate.has)
Returned(c) == Cardinality({x \in gate.gone : x[1] = c})
Sound(c) == SoundEvent /\ c \in gate.has /\ gate.n[c] + Returned(c) = Cardinality(Who(gate.hold[c]))

-----------------------------------------------------------------------------
Decide(u, c) ==
  LET s == gate.last[c] + 1
      rec(q) == [u |-> u, c |-> c, s |-> q, e |-> gate.ep]
  IN
  /\ Sound(c) /\ <<c, u>> \notin gate.gone
  /\ IF gate.hold[c][u] > 0
       THEN decided' = decided \cup {rec(gate.hold[c][u])} /\ UNCHANGED gate
       ELSE /\ Kept("members") => u \notin gate.mem \* whose place is of another coupon
            /\ gate.n[c] < Cap
            /\ decided' = decided \cup {rec(s)}
            /\ gate' = [gate EXCEPT !.n[c] = @ + 1, !.last[c] = s, !.hold[c][u] = s, !.mem = @ \cup {u},
                                    !.mn = IF u \notin gate.mem THEN @ + 1 ELSE @]
  /\ UNCHANGED <<losses, promised, log, rows, failed, epoch, noted, rb, coupons>>

Land(r) ==
  /\ log' = log \cup {[r |-> r, over |-> \E k \in noted : k > r.e]}
  /\ UNCHANGED <<gate, losses, decided, promised, rows, failed, epoch, noted, rb, coupons>>

Promise(r) ==
  /\ \E l \in log : l.r = r
  /\ Sound(r.c) /\ gate.ep = r.e /\ gate.hold[r.c][r.u] = r.s /\ <<r.c, r.u>> \notin gate.gone
  /\ promised' = promised \cup {[u |-> r.u, c |-> r.c, s |-> r.s]}
  /\ UNCHANGED <<gate, losses, decided, log, rows, failed, epoch, noted, rb, coupons>>

Has(u, c)   == \E w \in rows : w.u = u /\ w.c = c
Live        == {w \in rows : ~w.back}
Other(u, c) == \E w \in rows : w.u = u /\ w.c # c

Consume(l) ==
  LET r == l.r
      fail(why) == failed' = failed \cup {<<l, why>>} /\ UNCHANGED rows
      insert == rows' = rows \cup {[u |-> r.u, c |-> r.c, s |-> r.s, back |-> FALSE]} /\ UNCHANGED failed
  IN
  /\ ~Has(r.u, r.c)                                                          \* else a duplicate
  /\ CASE l.over -> fail("stale_epoch")
       [] ~l.over /\ Other(r.u, r.c) /\ Kept("unique") ->
            fail("event_limit")
       [] ~l.over /\ ~(Other(r.u, r.c) /\ Kept("unique")) ->
            IF Cardinality({w \in Live : w.c = r.c}) >= Cap THEN fail("over_cap") ELSE insert
  /\ UNCHANGED <<gate, losses, decided, promised, log, epoch, noted, rb, coupons>>

\* A row is given back and its place freed; the two halves and their order are in GiveBack.tla.
GiveBack(w) ==
  /\ Return /\ ~w.back /\ Sound(w.c) /\ gate.hold[w.c][w.u] = w.s
  /\ rows' = (rows \ {w}) \cup {[w EXCEPT !.back = TRUE]}
  /\ gate' = [gate EXCEPT !.gone = @ \cup {<<w.c, w.u>>}, !.n[w.c] = @ - 1,
                          !.mem = IF Kept("member_stays") THEN @ ELSE @ \ {w.u},
                          !.mn = IF Kept("member_stays") THEN @ ELSE @ - 1]
  /\ UNCHANGED <<losses, decided, promised, log, failed, epoch, noted, rb, coupons>>

-----------------------------------------------------------------------------
(* A coupon is published: its row, with the epoch of the event's gate read *)
(* under a lock; then it joins. The call may come late, or again.          *)

Publish ==
  /\ coupons = {1}
  /\ coupons' = Both
  /\ rb' = [k \in {1} \cup Rebuilds |-> IF k = 1 THEN [pc |-> "published", h |-> [c \in Both |-> Empty], g |-> {}, cs |-> {}, at |-> epoch]
                                                 ELSE rb[k]]
  /\ UNCHANGED <<gate, losses, decided, promised, log, rows, failed, epoch, noted>>

Join ==
  /\ rb[1].pc = "published"
  /\ 2 \notin gate.has /\ SoundEvent
  /\ Kept("join_epoch") => gate.ep = rb[1].at
  /\ gate' = [gate EXCEPT !.has = @ \cup {2}, !.cn = @ + 1, !.n[2] = 0, !.last[2] = 0, !.hold[2] = Empty]
  /\ UNCHANGED <<losses, decided, promised, log, rows, failed, epoch, noted, rb, coupons>>

-----------------------------------------------------------------------------
Go(k, from, to) == rb[k].pc = from /\ rb' = [rb EXCEPT ![k].pc = to]

Bump ==
  /\ epoch < MaxEpoch /\ epoch' = epoch + 1
  /\ Go(epoch + 1, "no", "mark")
  /\ UNCHANGED <<gate, losses, decided, promised, log, rows, failed, noted, coupons>>

Mark(k) ==
  /\ IF gate.ep < k THEN Go(k, "mark", "note") /\ gate' = Marked(k) ELSE Go(k, "mark", "over") /\ UNCHANGED gate
  /\ UNCHANGED <<losses, decided, promised, log, rows, failed, epoch, noted, coupons>>

Note(k) ==
  /\ IF epoch = k THEN Go(k, "note", "read") /\ noted' = noted \cup {k} ELSE Go(k, "note", "over") /\ UNCHANGED noted
  /\ UNCHANGED <<gate, losses, decided, promised, log, rows, failed, epoch, coupons>>

\* The rows of all coupons of the event, and the journal's records that are none yet.
Read(k) ==
  LET seqs(c, u) == {w.s : w \in {x \in rows : x.u = u /\ x.c = c}}
      tail(c, u) == {l.r.s : l \in {x \in log : x.r.u = u /\ x.r.c = c /\ ~x.over}}
      row(u)     == \E w \in rows : w.u = u
      h == [c \in Both |-> [u \in Users |-> IF seqs(c, u) # {} THEN Max(seqs(c, u))
                                             ELSE IF row(u) THEN 0 ELSE Max(tail(c, u))]]
  IN
  /\ rb[k].pc = "read"
  /\ rb' = [rb EXCEPT ![k] = [pc |-> "write", h |-> h, g |-> {<<w.c, w.u>> : w \in {x \in rows : x.back}},
                              cs |-> coupons, at |-> 0]]
  /\ UNCHANGED <<gate, losses, decided, promised, log, rows, failed, epoch, noted, coupons>>

Write(k) ==
  /\ Go(k, "write", "over")
  /\ gate' = IF gate.st = "mark" /\ gate.ep = k THEN Opened(k, rb[k].h, rb[k].g, rb[k].cs) ELSE gate
  /\ UNCHANGED <<losses, decided, promised, log, rows, failed, epoch, noted, coupons>>

Lose(g) ==
  /\ losses < MaxLoss /\ losses' = losses + 1
  /\ gate' = g /\ gate' # gate
  /\ UNCHANGED <<decided, promised, log, rows, failed, epoch, noted, rb, coupons>>

Loses == \/ Lose(NoGate)
         \/ Lose([gate EXCEPT !.mem = {}])
         \/ \E c \in Both : Lose([gate EXCEPT !.has = @ \ {c}])

-----------------------------------------------------------------------------
Init ==
  /\ coupons = IF Joins = 0 THEN Both ELSE {1}
  /\ gate = Opened(1, [c \in Both |-> Empty], {}, coupons)
  /\ losses = 0 /\ decided = {} /\ promised = {} /\ log = {} /\ rows = {} /\ failed = {}
  /\ epoch = 1 /\ noted = {}
  /\ rb = [k \in {1} \cup Rebuilds |-> [pc |-> "no", h |-> [c \in Both |-> Empty], g |-> {}, cs |-> {}, at |-> 0]]

Next ==
  \/ \E u \in Users, c \in Both : Decide(u, c)
  \/ \E r \in decided : Land(r) \/ Promise(r)
  \/ \E l \in log : Consume(l)
  \/ \E w \in rows : GiveBack(w)
  \/ Publish \/ Join \/ Bump \/ Loses
  \/ \E k \in Rebuilds : Mark(k) \/ Note(k) \/ Read(k) \/ Write(k)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
I1_Cap == \A c \in Both : Cardinality({w \in Live : w.c = c}) <= Cap

\* At most one coupon of the event a user, in the database ...
I2_Once == \A v, w \in rows : v.u = w.u => v = w

\* ... and its constraint is a second line.
I7_GuardIdle == \A f \in failed : f[2] = "stale_epoch"

I3_KeptPromise ==
  \A x \in promised : \/ \E w \in rows : w.u = x.u /\ w.c = x.c /\ w.s = x.s
                      \/ /\ ~\E w \in rows : w.u = x.u
                         /\ \E l \in log : l.r.u = x.u /\ l.r.c = x.c /\ l.r.s = x.s /\ ~l.over

I6_SameAnswer == /\ \A x, y \in promised : x.u = y.u => x = y
                 /\ \A v, w \in rows : v.c = w.c /\ v.s = w.s => v = w
=============================================================================
