------------------------------ MODULE Changes ------------------------------
(***************************************************************************)
(* Several changes of a coupon's terms at once (rules 26 and 27): each     *)
(* takes a revision in the database; what is narrower goes to the gate and *)
(* then to the database, what is wider the other way round; a change that  *)
(* is both takes two revisions; what a crash leaves is finished by         *)
(* anybody, at the same time as its maker.                                 *)
(*                                                                         *)
(* As in Firstcome.tla processes are not modelled, what they know is:      *)
(* heard holds the answers that somebody may act on now, later, twice or   *)
(* never, also after the change has ended. The journal is a set of records *)
(* that know whether they landed behind a barrier (Firstcome.tla has the   *)
(* offsets); noting the ends and storing the barrier are one step.         *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS Users,
          MaxCap,    \* caps are 1..MaxCap
          States,    \* {1}: always open; {0, 1}: a second term, 0 paused
          MaxRev,    \* revisions that may be taken
          MaxEpoch,  \* epochs 2..MaxEpoch are rebuilds
          MaxLoss,   \* how often Redis loses everything
          Broken

VARIABLES gate, losses, decided, log, rows, refused, \* the claims
          epoch, noted, rb,                          \* the rebuilds
          db, applied, rev,                          \* the coupon in the database
          chg, heard, ended                          \* the changes

claimVars  == <<decided, log, rows, refused>>
epochVars  == <<epoch, noted, rb>>
changeVars == <<db, applied, rev, chg, heard, ended>>
vars == <<gate, losses, claimVars, epochVars, changeVars>>

Kept(rule) == rule \notin Broken
Min(a, b)  == IF a < b THEN a ELSE b
Terms      == [cap: 1..MaxCap, on: States]
Meet(a, b) == [cap |-> Min(a.cap, b.cap), on |-> Min(a.on, b.on)]
NoTerms    == [cap |-> 0, on |-> 0]
Rebuilds   == 2..MaxEpoch
Full       == [cap |-> MaxCap, on |-> 1]
First      == [cap |-> 1, on |-> 1]
Symmetry   == Permutations(Users)

Closed(st, ep) == [st |-> st, ep |-> ep, cur |-> First, next |-> NoTerms, rev |-> 0, hold |-> {}]
Open(k, h, t, r) == [st |-> "open", ep |-> k, cur |-> t, next |-> NoTerms, rev |-> r, hold |-> h]
Sound == gate.st = "open"
Final == IF gate.next = NoTerms THEN gate.cur ELSE gate.next

-----------------------------------------------------------------------------
(* Claims.                                                                 *)

Decide(u) ==
  /\ Sound
  /\ u \in gate.hold \/ (gate.cur.on = 1 /\ Cardinality(gate.hold) < gate.cur.cap)
  /\ gate' = [gate EXCEPT !.hold = @ \cup {u}]
  /\ decided' = decided \cup {[u |-> u, e |-> gate.ep]}
  /\ UNCHANGED <<losses, log, rows, refused, epochVars, changeVars>>

Land(d) ==
  /\ log' = log \cup {[u |-> d.u, e |-> d.e, over |-> \E k \in noted : k > d.e]}
  /\ UNCHANGED <<gate, losses, decided, rows, refused, epochVars, changeVars>>

Consume(l) ==
  /\ ~l.over /\ l.u \notin rows
  /\ IF Cardinality(rows) < db.cap
       THEN rows' = rows \cup {l.u} /\ UNCHANGED refused
       ELSE refused' = refused \cup {l.u} /\ UNCHANGED rows
  /\ UNCHANGED <<gate, losses, decided, log, epochVars, changeVars>>

-----------------------------------------------------------------------------
(* Rebuilds, and what makes them needed.                                   *)

Over(k) == rb' = [rb EXCEPT ![k] = [pc |-> "over", got |-> {}, t |-> First, r |-> 0]]

Bump ==
  /\ epoch < MaxEpoch
  /\ epoch' = epoch + 1
  /\ rb' = [rb EXCEPT ![epoch + 1].pc = "mark"]
  /\ UNCHANGED <<gate, losses, claimVars, noted, changeVars>>

Mark(k) ==
  /\ rb[k].pc = "mark"
  /\ IF gate.ep >= k THEN Over(k) /\ UNCHANGED gate
                     ELSE gate' = Closed("mark", k) /\ rb' = [rb EXCEPT ![k].pc = "note"]
  /\ UNCHANGED <<losses, claimVars, epoch, noted, changeVars>>

Note(k) ==
  /\ rb[k].pc = "note"
  /\ IF epoch # k THEN Over(k) /\ UNCHANGED noted
                  ELSE noted' = noted \cup {k} /\ rb' = [rb EXCEPT ![k].pc = "read"]
  /\ UNCHANGED <<gate, losses, claimVars, epoch, changeVars>>

Read(k) ==
  /\ rb[k].pc = "read"
  /\ rb' = [rb EXCEPT ![k] = [pc |-> "write", t |-> db, r |-> applied,
                              got |-> rows \cup {l.u : l \in {x \in log : ~x.over}}]]
  /\ UNCHANGED <<gate, losses, claimVars, epoch, noted, changeVars>>

Write(k) ==
  /\ rb[k].pc = "write"
  /\ gate' = IF gate.st = "mark" /\ gate.ep = k THEN Open(k, rb[k].got, rb[k].t, rb[k].r) ELSE gate
  /\ Over(k)
  /\ UNCHANGED <<losses, claimVars, epoch, noted, changeVars>>

Flush ==
  /\ losses < MaxLoss /\ gate.st # "none"
  /\ losses' = losses + 1 /\ gate' = Closed("none", 0)
  /\ UNCHANGED <<claimVars, epochVars, changeVars>>

-----------------------------------------------------------------------------
(* Changes.                                                                *)

Target(r) == IF chg[r].stored THEN chg[r].to ELSE Meet(chg[r].from, chg[r].to)
Hear(r, what, e) == heard' = heard \cup {[r |-> r, what |-> what, e |-> e]}
Heard(r, what) == \E h \in heard : h.r = r /\ h.what = what

\* One transaction: the next revision, and what widens is stored with it.
Take(to) ==
  /\ rev < MaxRev
  /\ LET widens == Meet(db, to) = db IN
       /\ chg' = [chg EXCEPT ![rev + 1] = [from |-> db, to |-> to, stored |-> widens, ep |-> epoch]]
       /\ rev' = rev + 1
       /\ IF widens THEN db' = to /\ applied' = rev + 1 ELSE UNCHANGED <<db, applied>>

Begin(to) ==
  /\ Cardinality(rows) <= to.cap /\ to # db
  /\ Take(to)
  /\ UNCHANGED <<gate, losses, claimVars, epochVars, heard, ended>>

\* The script of the gate, for a change of which somebody knows.
GateTakes(r) ==
  LET c == chg[r]
      t == Target(r)
      current == Meet(gate.cur, t)
      newer == IF Kept("widen_same") THEN gate.ep > c.ep ELSE gate.ep >= c.ep
  IN
  /\ r <= rev /\ Sound
  /\ UNCHANGED <<losses, claimVars, epochVars, db, applied, rev, chg, ended>>
  /\ CASE r = gate.rev -> Hear(r, "ok", gate.ep) /\ UNCHANGED gate
       [] r # gate.rev /\ c.stored /\ newer -> Hear(r, "ok", gate.ep) /\ UNCHANGED gate
       [] r # gate.rev /\ ~(c.stored /\ newer) /\ r < gate.rev /\ Kept("revision") ->
            Hear(r, "superseded", 0) /\ UNCHANGED gate
       [] OTHER ->
            IF ~c.stored /\ Cardinality(gate.hold) > t.cap /\ Kept("admitted")
              THEN Hear(r, "below", 0) /\ UNCHANGED gate
              ELSE /\ gate' = [gate EXCEPT !.rev = r, !.cur = current,
                                           !.next = IF current = t THEN NoTerms ELSE t]
                   /\ Hear(r, "ok", gate.ep)

\* M has passed; nobody's step. What is remembered is in Firstcome.tla and Memory.tla.
Holds ==
  /\ gate.next # NoTerms
  /\ gate' = [gate EXCEPT !.cur = gate.next, !.next = NoTerms]
  /\ UNCHANGED <<losses, claimVars, epochVars, changeVars>>

\* One transaction: the database follows the gate in what is narrower.
Apply(r, e) ==
  /\ [r |-> r, what |-> "ok", e |-> e] \in heard /\ ~chg[r].stored
  /\ UNCHANGED <<gate, losses, claimVars, epochVars, rev, chg, ended>>
  /\ CASE rev # r /\ Kept("apply_latest") -> Hear(r, "superseded", 0) /\ UNCHANGED <<db, applied>>
       [] (rev = r \/ ~Kept("apply_latest")) /\ applied = r /\ db = Target(r) ->
            Hear(r, "applied", 0) /\ UNCHANGED <<db, applied>>
       [] OTHER ->
            /\ epoch = e \/ ~Kept("apply_epoch")
            /\ IF Cardinality(rows) > Target(r).cap
                 THEN Hear(r, "below_rows", 0) /\ UNCHANGED <<db, applied>>
                 ELSE Hear(r, "applied", 0) /\ db' = Target(r) /\ applied' = r

\* The half that widens, a revision of its own, if the first half still stands.
Rest(r) ==
  /\ Heard(r, "applied") /\ Target(r) # chg[r].to /\ r \notin ended
  /\ IF db = Target(r)
       THEN Take(chg[r].to)
       ELSE UNCHANGED <<db, applied, rev, chg>>
  /\ ended' = ended \cup {r}
  /\ UNCHANGED <<gate, losses, claimVars, epochVars, heard>>

\* Refused. An earlier change may stand at the gate alone, or this one does: the
\* terms of the database are said again, by a revision of their own.
Refuse(r) ==
  /\ Heard(r, "below") \/ Heard(r, "below_rows")
  /\ r \notin ended
  /\ IF \/ Heard(r, "below_rows")
        \/ rev = r /\ (applied < r - 1 \/ Kept("restate_always"))
       THEN IF Kept("restate") THEN Take(db) ELSE UNCHANGED <<db, applied, rev, chg>>
       ELSE UNCHANGED <<db, applied, rev, chg>>
  /\ ended' = ended \cup {r}
  /\ UNCHANGED <<gate, losses, claimVars, epochVars, heard>>

End(r) ==
  /\ r <= rev /\ r \notin ended
  /\ \/ Heard(r, "superseded")
     \/ Heard(r, "ok") /\ chg[r].stored
     \/ Heard(r, "applied") /\ Target(r) = chg[r].to
     \/ ~Kept("finish")                       \* sabotage: nobody takes it up
  /\ ended' = ended \cup {r}
  /\ UNCHANGED <<gate, losses, claimVars, epochVars, db, applied, rev, chg, heard>>

-----------------------------------------------------------------------------
Init ==
  /\ gate = Open(1, {}, First, 0) /\ losses = 0
  /\ decided = {} /\ log = {} /\ rows = {} /\ refused = {}
  /\ epoch = 1 /\ noted = {}
  /\ rb = [k \in Rebuilds |-> [pc |-> "no", got |-> {}, t |-> First, r |-> 0]]
  /\ db = First /\ applied = 0 /\ rev = 0
  /\ chg = [r \in 1..MaxRev |-> [from |-> First, to |-> First, stored |-> FALSE, ep |-> 0]]
  /\ heard = {} /\ ended = {}

Next ==
  \/ \E u \in Users : Decide(u)
  \/ \E d \in decided : Land(d)
  \/ \E l \in log : Consume(l)
  \/ Bump \/ Flush \/ Holds
  \/ \E k \in Rebuilds : Mark(k) \/ Note(k) \/ Read(k) \/ Write(k)
  \/ \E t \in Terms : Begin(t)
  \/ \E r \in 1..MaxRev : GateTakes(r) \/ Rest(r) \/ Refuse(r) \/ End(r)
  \/ \E h \in heard : h.what = "ok" /\ Apply(h.r, h.e)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
I1_Cap == Cardinality(rows) <= db.cap

\* What the gate gave and the journal has in time becomes a row: the guard never has to act.
I7_GuardIdle == refused = {}

\* When every change has ended, a gate that decides has the database's terms, now or M later.
I8_SameTerms == Sound /\ ended = 1..rev => Final = db
=============================================================================
