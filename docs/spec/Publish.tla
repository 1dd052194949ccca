------------------------------ MODULE Publish ------------------------------
(***************************************************************************)
(* A new tag (rule 29): the coupon and its gate's row, epoch 1, in one     *)
(* transaction; mark; the database still says epoch 1; open, empty. The    *)
(* publisher may fall asleep between any two steps while rebuilds find the *)
(* gate shut, open it and sell, and Redis loses things.                    *)
(*                                                                         *)
(* The journal is a set of records that know whether they landed behind a  *)
(* barrier; noting the ends and storing the barrier are one step, and so   *)
(* are acknowledgement and confirmation (Firstcome.tla has them apart).    *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS Users, MaxEpoch, MaxLoss, Broken

VARIABLES gate, snap, losses, decided, promised, log, rows, refused, epoch, noted, rb, pub

vars == <<gate, snap, losses, decided, promised, log, rows, refused, epoch, noted, rb, pub>>
Kept(rule) == rule \notin Broken

Cap      == 1
Rebuilds == 2..MaxEpoch
Nobody   == [u \in Users |-> 0]
Who(f)   == {u \in Users : f[u] > 0}
Max(S)   == CHOOSE x \in S \cup {0} : \A y \in S : y <= x
Symmetry == Permutations(Users)

\* mine: the gate carries the identity of the server that holds it. tok: 1, 2: which of the marks of this epoch.
NoGate  == [st |-> "none", ep |-> 0, tok |-> 0, mine |-> TRUE, hold |-> Nobody]
Marked(k, t) == [NoGate EXCEPT !.st = "mark", !.ep = k, !.tok = t]
Sound   == gate.st = "open" /\ gate.mine

Decide(u) ==
  /\ Sound /\ (gate.hold[u] > 0 \/ Cardinality(Who(gate.hold)) < Cap)
  /\ LET s == IF gate.hold[u] > 0 THEN gate.hold[u] ELSE Max({gate.hold[v] : v \in Users}) + 1 IN
       /\ gate' = [gate EXCEPT !.hold[u] = s]
       /\ decided' = decided \cup {[u |-> u, s |-> s, e |-> gate.ep]}
  /\ UNCHANGED <<snap, losses, promised, log, rows, refused, epoch, noted, rb, pub>>

Land(r) ==
  /\ log' = log \cup {[r |-> r, over |-> \E k \in noted : k > r.e]}
  /\ UNCHANGED <<gate, snap, losses, decided, promised, rows, refused, epoch, noted, rb, pub>>

Promise(r) ==
  /\ \E l \in log : l.r = r
  /\ Sound /\ gate.ep = r.e /\ gate.hold[r.u] = r.s
  /\ promised' = promised \cup {[u |-> r.u, s |-> r.s]}
  /\ UNCHANGED <<gate, snap, losses, decided, log, rows, refused, epoch, noted, rb, pub>>

Consume(l) ==
  /\ ~l.over /\ rows[l.r.u] = 0
  /\ IF Cardinality(Who(rows)) < Cap THEN rows' = [rows EXCEPT ![l.r.u] = l.r.s] /\ UNCHANGED refused
                                     ELSE refused' = refused \cup {l.r.u} /\ UNCHANGED rows
  /\ UNCHANGED <<gate, snap, losses, decided, promised, log, epoch, noted, rb, pub>>

-----------------------------------------------------------------------------
(* The publisher. Init is after its transaction.                           *)

PubGo(from, to) == pub = from /\ pub' = to

PubMark ==
  /\ IF gate.ep < 1 THEN PubGo("mark", "recheck") /\ gate' = Marked(1, 1)
                    ELSE PubGo("mark", "over") /\ UNCHANGED gate
  /\ UNCHANGED <<snap, losses, decided, promised, log, rows, refused, epoch, noted, rb>>

\* The client sends the mark a second time, however late. Sabotage: it is never repeated.
PubMarkAgain ==
  /\ ~Kept("mark_once") /\ pub # "mark" /\ gate.ep < 1
  /\ gate' = Marked(1, 2)
  /\ UNCHANGED <<snap, losses, decided, promised, log, rows, refused, epoch, noted, rb, pub>>

PubRecheck ==
  /\ IF epoch = 1 \/ ~Kept("recheck") THEN PubGo("recheck", "open") ELSE PubGo("recheck", "over")
  /\ UNCHANGED <<gate, snap, losses, decided, promised, log, rows, refused, epoch, noted, rb>>

\* Safe to repeat: asked for again when the answer is lost.
PubOpen ==
  /\ pub = "open"
  /\ gate.st = "mark" /\ gate.ep = 1
  /\ Kept("identity") => gate.mine
  /\ Kept("token") => gate.tok = 1
  /\ gate' = [gate EXCEPT !.st = "open", !.hold = Nobody, !.mine = @ \/ ~Kept("identity")]
  /\ UNCHANGED <<snap, losses, decided, promised, log, rows, refused, epoch, noted, rb, pub>>

-----------------------------------------------------------------------------
Go(k, from, to) == rb[k].pc = from /\ rb' = [rb EXCEPT ![k].pc = to]

Bump ==
  /\ epoch < MaxEpoch /\ epoch' = epoch + 1
  /\ Go(epoch + 1, "no", "mark")
  /\ UNCHANGED <<gate, snap, losses, decided, promised, log, rows, refused, noted, pub>>

Mark(k) ==
  /\ IF gate.ep < k THEN Go(k, "mark", "note") /\ gate' = Marked(k, 1) ELSE Go(k, "mark", "over") /\ UNCHANGED gate
  /\ UNCHANGED <<snap, losses, decided, promised, log, rows, refused, epoch, noted, pub>>

Note(k) ==
  /\ IF epoch = k THEN Go(k, "note", "read") /\ noted' = noted \cup {k} ELSE Go(k, "note", "over") /\ UNCHANGED noted
  /\ UNCHANGED <<gate, snap, losses, decided, promised, log, rows, refused, epoch, pub>>

Read(k) ==
  LET tail(u) == {l.r.s : l \in {x \in log : x.r.u = u /\ ~x.over}} IN
  /\ rb[k].pc = "read"
  /\ rb' = [rb EXCEPT ![k] = [pc |-> "write", h |-> [u \in Users |-> IF rows[u] > 0 THEN rows[u] ELSE Max(tail(u))]]]
  /\ UNCHANGED <<gate, snap, losses, decided, promised, log, rows, refused, epoch, noted, pub>>

Write(k) ==
  /\ Go(k, "write", "over")
  /\ gate' = IF gate.st = "mark" /\ gate.ep = k /\ gate.mine THEN [gate EXCEPT !.st = "open", !.hold = rb[k].h] ELSE gate
  /\ UNCHANGED <<snap, losses, decided, promised, log, rows, refused, epoch, noted, pub>>

Lose(g) ==
  /\ losses < MaxLoss /\ losses' = losses + 1
  /\ gate' = g /\ gate' # gate
  /\ UNCHANGED <<snap, decided, promised, log, rows, refused, epoch, noted, rb, pub>>

TakeSnap ==
  /\ losses < MaxLoss /\ snap = NoGate /\ gate # NoGate
  /\ snap' = gate
  /\ UNCHANGED <<gate, losses, decided, promised, log, rows, refused, epoch, noted, rb, pub>>

-----------------------------------------------------------------------------
Init ==
  /\ gate = NoGate /\ snap = NoGate /\ losses = 0
  /\ decided = {} /\ promised = {} /\ log = {} /\ rows = Nobody /\ refused = {}
  /\ epoch = 1 /\ noted = {} /\ pub = "mark"
  /\ rb = [k \in Rebuilds |-> [pc |-> "no", h |-> Nobody]]

Next ==
  \/ \E u \in Users : Decide(u)
  \/ \E r \in decided : Land(r) \/ Promise(r)
  \/ \E l \in log : Consume(l)
  \/ PubMark \/ PubMarkAgain \/ PubRecheck \/ PubOpen
  \/ Bump \/ \E k \in Rebuilds : Mark(k) \/ Note(k) \/ Read(k) \/ Write(k)
  \/ TakeSnap \/ Lose(NoGate) \/ Lose([snap EXCEPT !.mine = FALSE])

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
I1_Cap == Cardinality(Who(rows)) <= Cap
I7_GuardIdle == refused = {}

I3_KeptPromise ==
  \A x \in promised : \/ rows[x.u] = x.s
                      \/ rows[x.u] = 0 /\ \E l \in log : l.r.u = x.u /\ l.r.s = x.s /\ ~l.over

I6_SameAnswer == \A x, y \in promised : (x.u = y.u) = (x.s = y.s)

\* A gate that decides knows every promise.
I9_KnowsPromises == Sound => \A x \in promised : gate.hold[x.u] = x.s
=============================================================================
