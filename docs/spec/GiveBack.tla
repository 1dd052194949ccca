------------------------------ MODULE GiveBack ------------------------------
(***************************************************************************)
(* A place is given back (rule 28): in the database the row gets the       *)
(* status revoked, and in the same transaction an entry says that its      *)
(* place is to be freed; then a script frees it in a sound gate, the       *)
(* holder staying as a tombstone; then the entry is closed. The place      *)
(* counts M later. Entries are worked on by anybody, at once, late, again. *)
(*                                                                         *)
(* One coupon of one place. The journal is a set of records that know      *)
(* whether they landed behind a barrier; noting the ends and storing the   *)
(* barrier are one step (Firstcome.tla has them apart).                    *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS Users, MaxEpoch, MaxLoss,
          Memory,    \* apis refuse "sold out" from memory
          Broken

VARIABLES gate, losses, full,              \* Redis, and what an api remembers
          decided, promised, lied,         \* what apis know and said
          log, rows, refused, entry, shut, \* journal; rows; entries to be freed; entries that were closed
          epoch, noted, rb

vars == <<gate, losses, full, decided, promised, lied, log, rows, refused, entry, shut, epoch, noted, rb>>
Kept(rule) == rule \notin Broken

Cap      == 1
Rebuilds == 2..MaxEpoch
Nobody   == [u \in Users |-> 0]
Who(f)   == {u \in Users : f[u] > 0}
Max(S)   == CHOOSE x \in S \cup {0} : \A y \in S : y <= x
Symmetry == Permutations(Users)

\* gone: tombstones, a part of hold. n: admitted. back: freed places that do not count yet.
NoGate     == [st |-> "none", ep |-> 0, hold |-> Nobody, gone |-> {}, n |-> 0, ret |-> 0, back |-> 0, last |-> 0]
Opened(k, h, g) ==
  [NoGate EXCEPT !.st = "open", !.ep = k, !.hold = h, !.gone = g, !.ret = Cardinality(g),
                 !.n = Cardinality(Who(h) \ g),
                 !.last = Max({h[u] : u \in IF Kept("last_seq") THEN Users ELSE Users \ g})]
Sound   == gate.st = "open" /\ gate.n + gate.ret = Cardinality(Who(gate.hold))
Live    == {u \in Who(rows.seq) : u \notin rows.gone}
Told(u) == \E x \in promised : x.u = u

-----------------------------------------------------------------------------
Decide(u) ==
  LET s == gate.last + 1
      rec(q) == [u |-> u, s |-> q, e |-> gate.ep]
  IN
  /\ Sound
  /\ UNCHANGED <<losses, full, promised, log, rows, refused, entry, shut, epoch, noted, rb>>
  /\ CASE gate.hold[u] > 0 /\ u \in gate.gone -> UNCHANGED <<gate, decided, lied>>   \* "revoked"
       [] gate.hold[u] > 0 /\ u \notin gate.gone -> decided' = decided \cup {rec(gate.hold[u])} /\ UNCHANGED <<gate, lied>>
       [] gate.hold[u] = 0 /\ gate.n + gate.back >= Cap ->
            lied' = (lied \/ Told(u)) /\ UNCHANGED <<gate, decided>>
       [] OTHER -> /\ gate' = [gate EXCEPT !.n = @ + 1, !.last = s, !.hold[u] = s]
                   /\ decided' = decided \cup {rec(s)} /\ UNCHANGED lied

Land(r) ==
  /\ log' = log \cup {[r |-> r, over |-> \E k \in noted : k > r.e]}
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, rows, refused, entry, shut, epoch, noted, rb>>

Promise(r) ==
  /\ \E l \in log : l.r = r
  /\ Sound /\ gate.ep = r.e /\ gate.hold[r.u] = r.s /\ r.u \notin gate.gone
  /\ promised' = promised \cup {[u |-> r.u, s |-> r.s]}
  /\ UNCHANGED <<gate, losses, full, decided, lied, log, rows, refused, entry, shut, epoch, noted, rb>>

Consume(l) == \* a revoked row is a row: the record is its duplicate
  /\ ~l.over /\ rows.seq[l.r.u] = 0
  /\ IF Cardinality(Live) < Cap
       THEN rows' = [rows EXCEPT !.seq[l.r.u] = l.r.s] /\ UNCHANGED refused
       ELSE refused' = refused \cup {l.r.u} /\ UNCHANGED rows
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, log, entry, shut, epoch, noted, rb>>

Remember ==
  /\ Memory /\ Sound /\ gate.n + gate.back >= Cap
  /\ gate.back = 0 \/ ~Kept("changing")
  /\ full' = [on |-> TRUE, who |-> Who(gate.hold)]
  /\ UNCHANGED <<gate, losses, decided, promised, lied, log, rows, refused, entry, shut, epoch, noted, rb>>

Forgotten == [on |-> FALSE, who |-> {}]

RefuseFromMemory(u) ==
  /\ full.on /\ u \notin full.who
  /\ lied' = (lied \/ Told(u))
  /\ UNCHANGED <<gate, losses, full, decided, promised, log, rows, refused, entry, shut, epoch, noted, rb>>

-----------------------------------------------------------------------------
(* Giving back.                                                            *)

Revoke(u) ==
  /\ u \in Live /\ Kept("row_first")
  /\ rows' = IF Kept("row_stays") THEN [rows EXCEPT !.gone = @ \cup {u}] ELSE [rows EXCEPT !.seq[u] = 0]
  /\ \/ entry' = entry \cup {u}
     \/ ~Kept("entry_in_tx") /\ UNCHANGED entry        \* sabotage: a crash between two transactions
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, log, refused, shut, epoch, noted, rb>>

\* The script, for an entry that is or was open: it may come late or again.
Free(u) ==
  /\ u \in entry \cup shut \/ (~Kept("row_first") /\ u \in Live)
  /\ Sound /\ gate.hold[u] > 0
  /\ u \notin gate.gone \/ ~Kept("once")
  /\ gate' = IF Kept("tombstone")
               THEN [gate EXCEPT !.gone = @ \cup {u}, !.n = @ - 1, !.ret = @ + 1,
                                 !.back = IF Kept("later") THEN @ + 1 ELSE @]
               ELSE [gate EXCEPT !.hold[u] = 0, !.n = @ - 1]
  /\ gate.n > 0
  /\ IF Kept("row_first") THEN UNCHANGED entry ELSE entry' = entry \cup {u}
  /\ UNCHANGED <<losses, full, decided, promised, lied, log, rows, refused, shut, epoch, noted, rb>>

\* Sabotage: the row after the gate.
RowLater(u) ==
  /\ ~Kept("row_first") /\ u \in entry /\ u \in Live
  /\ rows' = [rows EXCEPT !.gone = @ \cup {u}]
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, log, refused, entry, shut, epoch, noted, rb>>

\* Closed when a sound gate has said that the place is freed.
Shut(u) ==
  /\ u \in entry
  /\ IF Kept("shut_when_freed") THEN Sound /\ (u \in gate.gone \/ gate.hold[u] = 0) ELSE TRUE
  /\ entry' = entry \ {u} /\ shut' = shut \cup {u}
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, log, rows, refused, epoch, noted, rb>>

\* M later: nobody remembers the generation before.
Counts ==
  /\ gate.back > 0
  /\ gate' = [gate EXCEPT !.back = 0]
  /\ full' = IF Kept("changing") THEN Forgotten ELSE full
  /\ UNCHANGED <<losses, decided, promised, lied, log, rows, refused, entry, shut, epoch, noted, rb>>

-----------------------------------------------------------------------------
Go(k, from, to) == rb[k].pc = from /\ rb' = [rb EXCEPT ![k].pc = to]

Bump ==
  /\ epoch < MaxEpoch /\ epoch' = epoch + 1
  /\ Go(epoch + 1, "no", "mark")
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, log, rows, refused, entry, shut, noted>>

Mark(k) ==
  /\ IF gate.ep < k THEN Go(k, "mark", "note") /\ gate' = [NoGate EXCEPT !.st = "mark", !.ep = k]
                    ELSE Go(k, "mark", "over") /\ UNCHANGED gate
  /\ UNCHANGED <<losses, full, decided, promised, lied, log, rows, refused, entry, shut, epoch, noted>>

Note(k) ==
  /\ IF epoch = k THEN Go(k, "note", "read") /\ noted' = noted \cup {k} ELSE Go(k, "note", "over") /\ UNCHANGED noted
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, log, rows, refused, entry, shut, epoch>>

Read(k) ==
  LET tail(u) == {l.r.s : l \in {x \in log : x.r.u = u /\ ~x.over}} IN
  /\ rb[k].pc = "read"
  /\ rb' = [rb EXCEPT ![k] = [pc |-> "write", g |-> IF Kept("load_gone") THEN rows.gone ELSE {},
                              h |-> [u \in Users |-> IF rows.seq[u] > 0 THEN rows.seq[u] ELSE Max(tail(u))]]]
  /\ UNCHANGED <<gate, losses, full, decided, promised, lied, log, rows, refused, entry, shut, epoch, noted>>

Write(k) ==
  /\ Go(k, "write", "over")
  /\ IF gate.st = "mark" /\ gate.ep = k THEN gate' = Opened(k, rb[k].h, rb[k].g) /\ full' = Forgotten
                                        ELSE UNCHANGED <<gate, full>>
  /\ UNCHANGED <<losses, decided, promised, lied, log, rows, refused, entry, shut, epoch, noted>>

Flush ==
  /\ losses < MaxLoss /\ gate.st # "none"
  /\ losses' = losses + 1 /\ gate' = NoGate
  /\ UNCHANGED <<full, decided, promised, lied, log, rows, refused, entry, shut, epoch, noted, rb>>

-----------------------------------------------------------------------------
Init ==
  /\ gate = Opened(1, Nobody, {}) /\ losses = 0 /\ full = Forgotten
  /\ decided = {} /\ promised = {} /\ lied = FALSE
  /\ log = {} /\ rows = [seq |-> Nobody, gone |-> {}] /\ refused = {} /\ entry = {} /\ shut = {}
  /\ epoch = 1 /\ noted = {}
  /\ rb = [k \in Rebuilds |-> [pc |-> "no", h |-> Nobody, g |-> {}]]

Next ==
  \/ \E u \in Users : Decide(u) \/ RefuseFromMemory(u) \/ Revoke(u) \/ Free(u) \/ RowLater(u) \/ Shut(u)
  \/ \E r \in decided : Land(r) \/ Promise(r)
  \/ \E l \in log : Consume(l)
  \/ Remember \/ Counts \/ Bump \/ Flush
  \/ \E k \in Rebuilds : Mark(k) \/ Note(k) \/ Read(k) \/ Write(k)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* A revoked row does not count for the cap: its place is somebody else's.
I1_Cap == Cardinality(Live) <= Cap

I7_GuardIdle == refused = {}

I3_KeptPromise ==
  \A x \in promised : \/ rows.seq[x.u] = x.s
                      \/ rows.seq[x.u] = 0 /\ \E l \in log : l.r.u = x.u /\ l.r.s = x.s /\ ~l.over

\* Everything quiet: the gate's live holders are the live rows, and a place that was given back is free.
I5_NoLeak ==
  /\ Sound /\ entry = {}
  /\ \A r \in decided : r.e = gate.ep => \E l \in log : l.r = r
  /\ \A l \in log : l.over \/ rows.seq[l.r.u] > 0
  => Who(gate.hold) \ gate.gone = Live

I6_SameAnswer ==
  /\ ~lied
  /\ \A x, y \in promised : x.u = y.u => x.s = y.s
  /\ \A u, v \in Who(rows.seq) : rows.seq[u] = rows.seq[v] => u = v
=============================================================================
