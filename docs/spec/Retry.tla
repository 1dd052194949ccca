------------------------------- MODULE Retry -------------------------------
(***************************************************************************)
(* Failed events and their way back (rule 13, step 12 of the cycle): a     *)
(* record that became no row, because a rebuild overtook it or because the *)
(* database refused it, is sent through the gate as an ordinary claim,     *)
(* also when its user holds a settled place; the event is closed when the  *)
(* journal has a new record that the gate confirmed. Any number of         *)
(* retriers, crashing or pausing anywhere.                                 *)
(*                                                                         *)
(* The journal is a sequence of records that know whether they landed      *)
(* behind a barrier; a rebuild reads and opens in one step after it has    *)
(* noted (Firstcome.tla has all its steps).                                *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS Users, MaxEpoch, MaxLog,
          Breaks,    \* how often the database refuses a record
          Broken

VARIABLES gate, decided, promised, log, rows, failed, closed, guard, breaks, epoch, noted

vars == <<gate, decided, promised, log, rows, failed, closed, guard, breaks, epoch, noted>>
Kept(rule) == rule \notin Broken

Cap      == 1
Nobody   == [u \in Users |-> 0]
Who(f)   == {u \in Users : f[u] > 0}
Max(S)   == CHOOSE x \in S \cup {0} : \A y \in S : y <= x
Symmetry == Permutations(Users)

\* pend: places that the gate does not know to be in the journal.
Admit(u, replay) ==
  LET s == IF gate.hold[u] > 0 THEN gate.hold[u] ELSE Max({gate.hold[v] : v \in Users}) + 1
      settled == gate.hold[u] > 0 /\ u \notin gate.pend
  IN
  /\ gate.open /\ (gate.hold[u] > 0 \/ Cardinality(Who(gate.hold)) < Cap)
  /\ gate' = [gate EXCEPT !.hold[u] = s, !.pend = IF gate.hold[u] > 0 THEN @ ELSE @ \cup {u}]
  /\ decided' = IF settled /\ ~(replay /\ Kept("replay_settled")) THEN decided
                ELSE decided \cup {[u |-> u, s |-> s, e |-> gate.ep]}

Claim(u) ==
  /\ Admit(u, FALSE)
  /\ UNCHANGED <<promised, log, rows, failed, closed, guard, breaks, epoch, noted>>

Land(r) ==
  /\ Len(log) < MaxLog
  /\ log' = Append(log, [r |-> r, over |-> \E k \in noted : k > r.e])
  /\ UNCHANGED <<gate, decided, promised, rows, failed, closed, guard, breaks, epoch, noted>>

InLog(r) == \E o \in 1..Len(log) : log[o].r = r

Confirm(r) ==
  /\ InLog(r) /\ gate.open /\ gate.ep = r.e /\ gate.hold[r.u] = r.s
  /\ gate' = [gate EXCEPT !.pend = @ \ {r.u}]
  /\ promised' = promised \cup {[u |-> r.u, s |-> r.s]}
  /\ UNCHANGED <<decided, log, rows, failed, closed, guard, breaks, epoch, noted>>

Seen(o) == \E f \in failed : f.o = o
Consume(o) ==
  LET l == log[o] fail(why) == failed' = failed \cup {[o |-> o, u |-> l.r.u, why |-> why]} IN
  /\ o \in 1..Len(log) /\ rows[l.r.u] = 0 /\ ~Seen(o)
  /\ \/ /\ l.over /\ fail("stale_epoch") /\ UNCHANGED <<rows, guard, breaks>>
     \/ /\ ~l.over /\ Cardinality(Who(rows)) < Cap /\ rows' = [rows EXCEPT ![l.r.u] = l.r.s] /\ UNCHANGED <<failed, guard, breaks>>
     \/ /\ ~l.over /\ Cardinality(Who(rows)) >= Cap /\ fail("over_cap") /\ guard' = TRUE /\ UNCHANGED <<rows, breaks>>
     \/ /\ ~l.over /\ breaks < Breaks /\ breaks' = breaks + 1 /\ fail("refused_by_db") /\ UNCHANGED <<rows, guard>>
  /\ UNCHANGED <<gate, decided, promised, log, closed, epoch, noted>>

-----------------------------------------------------------------------------
\* A retrier sends a failed event as a claim.
Retry(f) ==
  /\ f \notin closed
  /\ IF Kept("through_gate")
       THEN Admit(f.u, TRUE) /\ UNCHANGED rows
       ELSE /\ rows' = IF rows[f.u] = 0 /\ Cardinality(Who(rows)) < Cap THEN [rows EXCEPT ![f.u] = log[f.o].r.s] ELSE rows
            /\ UNCHANGED <<gate, decided>>
  /\ UNCHANGED <<promised, log, failed, closed, guard, breaks, epoch, noted>>

\* Closed on the gate's word about a record that the journal has got since.
Close(f) ==
  /\ f \notin closed
  /\ Kept("close_last") =>
       \E r \in decided : /\ r.u = f.u /\ gate.open /\ gate.ep = r.e /\ gate.hold[r.u] = r.s
                          /\ \E o \in f.o + 1..Len(log) : log[o].r = r
  /\ closed' = closed \cup {f}
  /\ UNCHANGED <<gate, decided, promised, log, rows, failed, guard, breaks, epoch, noted>>

-----------------------------------------------------------------------------
Shut ==
  /\ epoch < MaxEpoch /\ gate.open
  /\ epoch' = epoch + 1
  /\ gate' = [open |-> FALSE, ep |-> epoch + 1, hold |-> Nobody, pend |-> {}]
  /\ UNCHANGED <<decided, promised, log, rows, failed, closed, guard, breaks, noted>>

Note ==
  /\ ~gate.open /\ epoch \notin noted /\ noted' = noted \cup {epoch}
  /\ UNCHANGED <<gate, decided, promised, log, rows, failed, closed, guard, breaks, epoch>>

\* Rows, and records that consumers have not seen yet; a failed event was seen.
Open ==
  LET tail(u) == {log[o].r.s : o \in {x \in 1..Len(log) : log[x].r.u = u /\ ~log[x].over /\ ~Seen(x)}} IN
  /\ ~gate.open /\ epoch \in noted
  /\ gate' = [gate EXCEPT !.open = TRUE, !.hold = [u \in Users |-> IF rows[u] > 0 THEN rows[u] ELSE Max(tail(u))]]
  /\ UNCHANGED <<decided, promised, log, rows, failed, closed, guard, breaks, epoch, noted>>

-----------------------------------------------------------------------------
Init ==
  /\ gate = [open |-> TRUE, ep |-> 1, hold |-> Nobody, pend |-> {}]
  /\ decided = {} /\ promised = {} /\ log = <<>> /\ rows = Nobody /\ failed = {} /\ closed = {}
  /\ guard = FALSE /\ breaks = 0 /\ epoch = 1 /\ noted = {}

Next ==
  \/ \E u \in Users : Claim(u)
  \/ \E r \in decided : Land(r) \/ Confirm(r)
  \/ \E o \in 1..MaxLog : Consume(o)
  \/ \E f \in failed : Retry(f) \/ Close(f)
  \/ Shut \/ Note \/ Open

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
I1_Cap == Cardinality(Who(rows)) <= Cap

\* While the database refuses nobody's promised record, nobody is refused by its guard.
I7_GuardIdle == ~guard

\* Rows have their places.
I5_NoLeak == gate.open => \A u \in Who(rows) : gate.hold[u] > 0

\* A promise is a row, on its way to be one, or a failed event that somebody still works on.
I3_KeptPromise ==
  \A x \in promised : \/ rows[x.u] > 0
                      \/ \E o \in 1..Len(log) : log[o].r.u = x.u /\ ~log[o].over /\ ~Seen(o)
                      \/ \E f \in failed : f.u = x.u /\ f \notin closed

\* A closed event has left a record behind it that is a row, will be one, or failed in its turn.
I4_NoGhost ==
  \A f \in closed : \/ rows[f.u] > 0
                    \/ \E o \in f.o + 1..Len(log) : log[o].r.u = f.u
=============================================================================
