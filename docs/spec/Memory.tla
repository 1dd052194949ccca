------------------------------- MODULE Memory -------------------------------
(***************************************************************************)
(* Refusing from memory (rule 10), with a clock: an api sees the gate      *)
(* full, reads the holders in pieces, looks again, and refuses everybody   *)
(* whom it did not read, for M from the start of its last look. A look at  *)
(* generation and epoch alone prolongs it. What takes the reason away (a   *)
(* greater cap, a place given back, a rebuild) holds M after it was said.  *)
(*                                                                         *)
(* The gate alone is here, and one memory: apis share nothing. A user is   *)
(* promised as soon as the gate has given the place, which is stricter     *)
(* than needed.                                                            *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS Users, MaxCap, M, End,   \* ticks; the clock stops at End
          MaxGen,                  \* generations
          Broken

VARIABLES now, gate, mem, look, lied, stale

vars == <<now, gate, mem, look, lied, stale>>
Kept(rule) == rule \notin Broken
Symmetry == Permutations(Users)

\* open: decides. cap; next holds from at on (0: nothing waits); gen, ep.
Cap    == IF gate.next > 0 /\ now >= gate.at THEN gate.next ELSE gate.cap
Coming == gate.next > 0 /\ now < gate.at
Full   == Cardinality(gate.hold) >= Cap
NoLook == [st |-> "no", from |-> 0, gen |-> 0, ep |-> 0, who |-> {}, rest |-> {}]
NoMem  == [till |-> 0, gen |-> 0, ep |-> 0, who |-> {}]

Tick == now < End /\ now' = now + 1 /\ UNCHANGED <<gate, mem, look, lied, stale>>

-----------------------------------------------------------------------------
(* The gate.                                                               *)

Admit(u) ==
  /\ gate.open /\ u \notin gate.hold /\ ~Full
  /\ gate' = [gate EXCEPT !.hold = @ \cup {u}]
  /\ UNCHANGED <<now, mem, look, lied, stale>>

\* Rule 27: the greater cap stands beside the old one.
Raise ==
  /\ gate.open /\ gate.gen < MaxGen /\ Cap < MaxCap
  /\ gate' = [gate EXCEPT !.cap = Cap, !.next = MaxCap, !.at = now + (IF Kept("later") THEN M ELSE 0),
                          !.gen = IF Kept("generation") THEN @ + 1 ELSE @]
  /\ UNCHANGED <<now, mem, look, lied, stale>>

\* A rebuild marks the gate, M later it opens, with what was promised and perhaps fewer holders.
Mark ==
  /\ gate.open /\ gate.ep = 1
  /\ gate' = [gate EXCEPT !.open = FALSE, !.ep = 2, !.at = now + (IF Kept("later") THEN M ELSE 0), !.next = 0, !.cap = MaxCap]
  /\ UNCHANGED <<now, mem, look, lied, stale>>

Open ==
  /\ ~gate.open /\ now >= gate.at
  /\ gate' = [gate EXCEPT !.open = TRUE, !.gen = IF Kept("generation") THEN @ + 1 ELSE @, !.at = 0]
  /\ UNCHANGED <<now, mem, look, lied, stale>>

-----------------------------------------------------------------------------
(* The api. A look and what follows from it are at different times.        *)

SeesFull ==
  /\ look.st = "no" /\ gate.open
  /\ Full /\ (~Coming \/ ~Kept("coming"))
  /\ look' = [st |-> "read", from |-> now, gen |-> gate.gen, ep |-> gate.ep, who |-> {},
              rest |-> Users]
  /\ UNCHANGED <<now, gate, mem, lied, stale>>

\* Sabotage: the holders are read before the gate is seen full.
ReadsFirst ==
  /\ ~Kept("full_first") /\ look.st = "no" /\ gate.open
  /\ look' = [st |-> "early", from |-> now, gen |-> gate.gen, ep |-> gate.ep, who |-> gate.hold, rest |-> {}]
  /\ UNCHANGED <<now, gate, mem, lied, stale>>

SeesFullThen ==
  /\ look.st = "early" /\ gate.open /\ Full /\ ~Coming
  /\ look' = [look EXCEPT !.st = "read", !.from = now, !.gen = gate.gen, !.ep = gate.ep]
  /\ UNCHANGED <<now, gate, mem, lied, stale>>

\* One page of the holders: a user is found if they hold a place at that moment.
Reads(u) ==
  /\ look.st = "read" /\ u \in look.rest
  /\ look' = [look EXCEPT !.rest = @ \ {u}, !.who = IF u \in gate.hold THEN @ \cup {u} ELSE @]
  /\ UNCHANGED <<now, gate, mem, lied, stale>>

Same(x) == gate.open /\ gate.gen = x.gen /\ gate.ep = x.ep

\* The end of the reading: a look again, whose answer is used later. M counts from it, not from the first one.
Ends ==
  /\ look.st = "read" /\ look.rest = {}
  /\ look' = [look EXCEPT !.st = IF Same(look) \/ (gate.open /\ ~Kept("both_ends")) THEN "ended" ELSE "other",
                          !.from = now, !.gen = gate.gen, !.ep = gate.ep]
  /\ UNCHANGED <<now, gate, mem, lied, stale>>

Remembers ==
  /\ look.st = "ended"
  /\ look' = NoLook
  /\ mem' = [till |-> (IF Kept("from_start") THEN look.from ELSE now) + M, gen |-> look.gen, ep |-> look.ep, who |-> look.who]
  /\ UNCHANGED <<now, gate, lied, stale>>

\* A look at generation and epoch alone: asked now, its answer used later.
Asks ==
  /\ look.st = "no" /\ mem.till > now
  /\ look' = [NoLook EXCEPT !.st = IF gate.open /\ (Same(mem) \/ ~Kept("prolong_same")) THEN "same" ELSE "other", !.from = now]
  /\ UNCHANGED <<now, gate, mem, lied, stale>>

Prolongs ==
  /\ look.st \in {"same", "other"}
  /\ look' = NoLook
  /\ mem' = IF look.st = "other" THEN NoMem
            ELSE [mem EXCEPT !.till = (IF Kept("from_start") THEN look.from ELSE now) + M]
  /\ UNCHANGED <<now, gate, lied, stale>>

Refuses(u) ==
  /\ now < mem.till /\ u \notin mem.who
  /\ lied'  = (lied \/ u \in gate.hold)
  /\ stale' = (stale \/ (gate.open /\ ~Full))
  /\ UNCHANGED <<now, gate, mem, look>>

-----------------------------------------------------------------------------
Init ==
  /\ now = 0 /\ mem = NoMem /\ look = NoLook /\ lied = FALSE /\ stale = FALSE
  /\ gate = [open |-> TRUE, hold |-> {}, cap |-> 1, next |-> 0, at |-> 0, gen |-> 1, ep |-> 1]

Next == \/ Tick \/ Raise \/ Mark \/ Open \/ SeesFull \/ ReadsFirst \/ SeesFullThen \/ Ends \/ Remembers \/ Asks \/ Prolongs
        \/ \E u \in Users : Admit(u) \/ Reads(u) \/ Refuses(u)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* Nobody who holds a place is told that nothing is left.
I6_SameAnswer == ~lied

\* Nobody is refused from memory once there are places again.
I10_FreshRefusal == ~stale
=============================================================================
