------------------------------- MODULE Limit -------------------------------
(***************************************************************************)
(* A limit above 1: the user's claims are told apart by their idempotency  *)
(* key. A claim gets the smallest free nth of its user; the key stands in  *)
(* the holder, travels in the record and stands in the row, so that a      *)
(* rebuild knows it. The database: primary key (user, nth), and a record   *)
(* whose key has a row is a duplicate, whatever its nth.                   *)
(*                                                                         *)
(* One user. The journal is a set of records that know whether they landed *)
(* behind a barrier; noting the ends and storing the barrier are one step. *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS Keys, Max,   \* the per-user limit
          MaxEpoch, Broken

VARIABLES gate, decided, promised, log, rows, failed, epoch, noted, rb

vars == <<gate, decided, promised, log, rows, failed, epoch, noted, rb>>
Kept(rule) == rule \notin Broken

Nths     == 1..Max
Rebuilds == 2..MaxEpoch
Free     == [key |-> "", s |-> 0]
Nothing  == [n \in Nths |-> Free]
Taken(h) == {n \in Nths : h[n].s > 0}
Least(S) == CHOOSE x \in S : \A y \in S : x <= y
Most(S)  == CHOOSE x \in S \cup {0} : \A y \in S : y <= x
Symmetry == Permutations(Keys)
NoGate   == [st |-> "none", ep |-> 0, hold |-> Nothing, last |-> 0]
Last(h)  == Most({h[n].s : n \in Nths})

Claim(key) ==
  LET mine == {n \in Taken(gate.hold) : gate.hold[n].key = key}
      free == Nths \ Taken(gate.hold)
      rec(n, s) == [key |-> key, n |-> n, s |-> s, e |-> gate.ep]
  IN
  /\ gate.st = "open"
  /\ IF mine # {}
       THEN decided' = decided \cup {rec(Least(mine), gate.hold[Least(mine)].s)} /\ UNCHANGED gate
       ELSE /\ free # {}                                                      \* else user_limit
            /\ gate' = [gate EXCEPT !.hold[Least(free)] = [key |-> key, s |-> gate.last + 1], !.last = @ + 1]
            /\ decided' = decided \cup {rec(Least(free), gate.last + 1)}
  /\ UNCHANGED <<promised, log, rows, failed, epoch, noted, rb>>

Land(r) ==
  /\ log' = log \cup {[r |-> r, over |-> \E k \in noted : k > r.e]}
  /\ UNCHANGED <<gate, decided, promised, rows, failed, epoch, noted, rb>>

Promise(r) ==
  /\ \E l \in log : l.r = r
  /\ gate.st = "open" /\ gate.ep = r.e
  /\ gate.hold[r.n].s = r.s
  /\ promised' = promised \cup {[key |-> r.key, n |-> r.n, s |-> r.s]}
  /\ UNCHANGED <<gate, decided, log, rows, failed, epoch, noted, rb>>

Duplicate(r) == IF Kept("by_key") THEN \E n \in Taken(rows) : rows[n].key = r.key ELSE rows[r.n].s > 0

Consume(l) ==
  /\ IF Duplicate(l.r) THEN UNCHANGED <<rows, failed>>
     ELSE IF l.over /\ Kept("barrier") THEN failed' = failed \cup {<<l, "stale_epoch">>} /\ UNCHANGED rows
     ELSE IF rows[l.r.n].s > 0 THEN failed' = failed \cup {<<l, "nth_taken">>} /\ UNCHANGED rows
     ELSE rows' = [rows EXCEPT ![l.r.n] = [key |-> l.r.key, s |-> l.r.s]] /\ UNCHANGED failed
  /\ UNCHANGED <<gate, decided, promised, log, epoch, noted, rb>>

Go(k, from, to) == rb[k].pc = from /\ rb' = [rb EXCEPT ![k].pc = to]

Bump ==
  /\ epoch < MaxEpoch /\ epoch' = epoch + 1
  /\ Go(epoch + 1, "no", "mark")
  /\ UNCHANGED <<gate, decided, promised, log, rows, failed, noted>>

Mark(k) ==
  /\ IF gate.ep < k THEN Go(k, "mark", "note") /\ gate' = [NoGate EXCEPT !.st = "mark", !.ep = k]
                    ELSE Go(k, "mark", "over") /\ UNCHANGED gate
  /\ UNCHANGED <<decided, promised, log, rows, failed, epoch, noted>>

Note(k) ==
  /\ IF epoch = k THEN Go(k, "note", "read") /\ noted' = noted \cup {k} ELSE Go(k, "note", "over") /\ UNCHANGED noted
  /\ UNCHANGED <<gate, decided, promised, log, rows, failed, epoch>>

Read(k) ==
  LET tail(n) == {l.r : l \in {x \in log : x.r.n = n /\ ~x.over}}
      key(x)  == IF Kept("key_travels") THEN x ELSE ""
  IN
  /\ rb[k].pc = "read"
  /\ rb' = [rb EXCEPT ![k] = [pc |-> "write", h |-> [n \in Nths |->
       IF rows[n].s > 0 THEN [rows[n] EXCEPT !.key = key(@)]
       ELSE IF tail(n) = {} THEN Free ELSE LET r == CHOOSE r \in tail(n) : TRUE IN [key |-> key(r.key), s |-> r.s]]]]
  /\ UNCHANGED <<gate, decided, promised, log, rows, failed, epoch, noted>>

Write(k) ==
  /\ Go(k, "write", "over")
  /\ gate' = IF gate.st = "mark" /\ gate.ep = k
               THEN [st |-> "open", ep |-> k, hold |-> rb[k].h, last |-> Last(rb[k].h)] ELSE gate
  /\ UNCHANGED <<decided, promised, log, rows, failed, epoch, noted>>

Init ==
  /\ gate = [NoGate EXCEPT !.st = "open", !.ep = 1]
  /\ decided = {} /\ promised = {} /\ log = {} /\ rows = Nothing /\ failed = {}
  /\ epoch = 1 /\ noted = {} /\ rb = [k \in Rebuilds |-> [pc |-> "no", h |-> Nothing]]

Next ==
  \/ \E k \in Keys : Claim(k)
  \/ \E r \in decided : Land(r) \/ Promise(r)
  \/ \E l \in log : Consume(l)
  \/ Bump \/ \E k \in Rebuilds : Mark(k) \/ Note(k) \/ Read(k) \/ Write(k)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* A key has one row; the limit itself is the shape of rows.
I2_Once == \A m, n \in Taken(rows) : rows[m].key = rows[n].key => m = n

I3_KeptPromise ==
  \A x \in promised : \/ \E n \in Taken(rows) : n = x.n /\ rows[n] = [key |-> x.key, s |-> x.s]
                      \/ /\ rows[x.n].s = 0
                         /\ \E l \in log : l.r.key = x.key /\ l.r.s = x.s /\ l.r.n = x.n /\ ~l.over

I6_SameAnswer == \A x, y \in promised : x.key = y.key => x = y

I7_GuardIdle == \A f \in failed : f[2] # "nth_taken"
=============================================================================
