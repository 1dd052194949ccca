-------------------------------- MODULE Load --------------------------------
(***************************************************************************)
(* A rebuild loads the holders in several calls into private keys of its   *)
(* attempt, and one last script renames them into place (rules 24, 25).    *)
(* Calls arrive late, twice or never, answers are lost, private keys run   *)
(* out, Redis loses everything or brings back an older state, a newer      *)
(* attempt begins.                                                         *)
(*                                                                         *)
(* What is to be loaded is fixed: Rows by two calls, then the journal's    *)
(* tail by one, in which one user stands twice and one has a row already.  *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS MaxEpoch,  \* attempts 2..MaxEpoch
          MaxLoss, MaxExpire,
          Broken

VARIABLES gate, keys, snap, losses, expired, sent, at, out, done

vars == <<gate, keys, snap, losses, expired, sent, at, out, done>>
Kept(rule) == rule \notin Broken
Attempts == 2..MaxEpoch

\* The calls, in the order in which they are sent. A later value never replaces an earlier one in the tail.
Page   == <<[kind |-> "rows", put |-> <<[u |-> "a", s |-> 1]>>],
            [kind |-> "rows", put |-> <<[u |-> "b", s |-> 2]>>],
            [kind |-> "tail", put |-> <<[u |-> "b", s |-> 7], [u |-> "c", s |-> 3], [u |-> "c", s |-> 8]>>]>>
Calls  == 1..Len(Page)
Users  == {"a", "b", "c"}
Nobody == [u \in Users |-> 0]
Right  == [u \in Users |-> IF u = "a" THEN 1 ELSE IF u = "b" THEN 2 ELSE 3]
Who(f) == {u \in Users : f[u] > 0}

\* ttl: the holders' key still runs out. here: the gate names this server.
NoGate   == [st |-> "none", ep |-> 0, here |-> TRUE, hold |-> Nobody, n |-> 0, ttl |-> FALSE]
NoKeys   == [k \in Attempts |-> [hold |-> Nobody, calls |-> [c \in Calls |-> 0]]]
Sound    == gate.st = "open" /\ gate.here /\ gate.n = Cardinality(Who(gate.hold))
KeyOf(k) == IF Kept("private") THEN k ELSE 2

-----------------------------------------------------------------------------
Mark(k) ==
  /\ at[k] = 0 /\ gate.ep < k
  /\ gate' = [NoGate EXCEPT !.st = "mark", !.ep = k]
  /\ at' = [at EXCEPT ![k] = 1]
  /\ UNCHANGED <<keys, snap, losses, expired, sent, out, done>>

\* The attempt sends its next call, or the same one again when it heard nothing.
Send(k) ==
  /\ at[k] \in Calls /\ out[k] # "over"
  /\ sent' = sent \cup {<<k, at[k]>>}
  /\ UNCHANGED <<gate, keys, snap, losses, expired, at, out, done>>

\* What one call adds: a row replaces, the tail does not.
Put(h, page) ==
  LET F[i \in 0..Len(page.put)] ==
        IF i = 0 THEN h
        ELSE LET x == page.put[i] IN
             IF page.kind = "rows" \/ F[i - 1][x.u] = 0 \/ ~Kept("row_wins")
               THEN [F[i - 1] EXCEPT ![x.u] = x.s] ELSE F[i - 1]
  IN F[Len(page.put)]
Added(h, page) == Cardinality(Who(Put(h, page)) \ Who(h))

Fits(k) == gate.st = "mark" /\ gate.ep = k

\* A call arrives: once, twice, whenever.
Arrive(k, c) ==
  LET key == keys[KeyOf(k)]
      again == Page[c].kind = "tail" /\ key.calls[c] > 0 /\ Kept("call_name")
  IN
  /\ <<k, c>> \in sent
  /\ Fits(k) \/ ~Kept("load_fenced")
  /\ keys' = IF again THEN keys
             ELSE [keys EXCEPT ![KeyOf(k)].hold = Put(@, Page[c]), ![KeyOf(k)].calls[c] = 1 + Added(key.hold, Page[c])]
  \* Its answer may be heard, if it is the one that is waited for: what it added (tail), or how many it carried (rows).
  /\ \/ UNCHANGED <<at, done>>
     \/ /\ at[k] = c
        /\ at' = [at EXCEPT ![k] = c + 1]
        /\ done' = [done EXCEPT ![k] = @ + IF Page[c].kind = "rows" THEN Len(Page[c].put)
                                           ELSE IF again THEN key.calls[c] - 1 ELSE Added(key.hold, Page[c])]
  /\ UNCHANGED <<gate, snap, losses, expired, sent, out>>

GiveUp(k) ==
  /\ at[k] > 0 /\ out[k] = "no" /\ out' = [out EXCEPT ![k] = "over"]
  /\ UNCHANGED <<gate, keys, snap, losses, expired, sent, at, done>>

\* The last script, M after the mark; it may arrive late or again.
Open(k) ==
  LET key == keys[KeyOf(k)] IN
  /\ at[k] = Len(Page) + 1 /\ out[k] # "over"
  /\ out' = [out EXCEPT ![k] = "sent"]
  /\ IF /\ Fits(k)
        /\ Kept("open_identity") => gate.here
        /\ Kept("counts") => Cardinality(Who(key.hold)) = done[k]
       THEN /\ gate' = [st |-> "open", ep |-> k, here |-> gate.here \/ ~Kept("open_identity"), hold |-> key.hold,
                        n |-> IF Kept("counts") THEN done[k] ELSE Cardinality(Who(key.hold)), ttl |-> ~Kept("persist")]
            /\ keys' = [keys EXCEPT ![KeyOf(k)] = [hold |-> Nobody, calls |-> [c \in Calls |-> 0]]]
       ELSE UNCHANGED <<gate, keys>>
  /\ UNCHANGED <<snap, losses, expired, sent, at, done>>

-----------------------------------------------------------------------------
\* Keys with a TTL run out: the holders of an attempt and what its calls added, each by itself.
Expire ==
  /\ expired < MaxExpire /\ expired' = expired + 1
  /\ \/ \E k \in Attempts : /\ keys[k].hold # Nobody
                            /\ keys' = [keys EXCEPT ![k].hold = Nobody] /\ UNCHANGED gate
     \/ \E k \in Attempts : /\ keys[k].calls # [c \in Calls |-> 0]
                            /\ keys' = [keys EXCEPT ![k].calls = [c \in Calls |-> 0]] /\ UNCHANGED gate
     \/ gate.ttl /\ gate' = [gate EXCEPT !.hold = Nobody, !.ttl = FALSE] /\ UNCHANGED keys
  /\ UNCHANGED <<snap, losses, sent, at, out, done>>

TakeSnap ==
  /\ losses < MaxLoss /\ snap.gate = NoGate /\ gate # NoGate
  /\ snap' = [gate |-> gate, keys |-> keys]
  /\ UNCHANGED <<gate, keys, losses, expired, sent, at, out, done>>

Lose ==
  /\ losses < MaxLoss /\ losses' = losses + 1
  /\ \/ gate' = NoGate /\ keys' = NoKeys
     \/ gate' = [snap.gate EXCEPT !.here = FALSE] /\ keys' = snap.keys
  /\ UNCHANGED <<snap, expired, sent, at, out, done>>

-----------------------------------------------------------------------------
Init ==
  /\ gate = NoGate /\ keys = NoKeys /\ snap = [gate |-> NoGate, keys |-> NoKeys] /\ losses = 0 /\ expired = 0
  /\ sent = {} /\ at = [k \in Attempts |-> 0] /\ out = [k \in Attempts |-> "no"] /\ done = [k \in Attempts |-> 0]

Next ==
  \/ \E k \in Attempts : Mark(k) \/ Send(k) \/ Open(k) \/ GiveUp(k)
  \/ \E x \in sent : Arrive(x[1], x[2])
  \/ Expire \/ TakeSnap \/ Lose

Spec == Init /\ [][Next]_vars

\* Nothing is lost any more, and calls arrive: then the attempt that is not given up opens the gate.
Steps == \E k \in Attempts : Mark(k) \/ Send(k) \/ Open(k) \/ (at[k] \in Calls /\ <<k, at[k]>> \in sent /\ Arrive(k, at[k]) /\ at' # at)
LiveSpec == Init /\ [][Next]_vars /\ WF_vars(Steps)

-----------------------------------------------------------------------------
\* A gate that decides has exactly what was to be loaded.
I11_LoadedWhole == Sound => gate.hold = Right

\* And what was opened goes on deciding, as long as Redis loses nothing.
I12_StaysOpen == gate.st = "open" /\ gate.here => Sound

Opens == []<>(losses > 0 \/ expired > 0 \/ \E k \in Attempts : out[k] = "over" \/ gate.st = "open")
=============================================================================
