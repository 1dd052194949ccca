// Package publish is what stands before the first claim: it puts events and coupons on offer and changes their terms
// while the sale runs (rules 26, 27 and 29 of the protocol). It writes to two places, the book (ledger) and the gate
// (Redis), which no transaction holds together, so its promise is an order of steps, each of which may be the last one
// its process takes.
//
// # A new tag (rule 29)
//
//	step                                   a crash after it leaves            who repairs
//	1 book: coupon and gates row, epoch 1  a coupon without a gate            whoever notices: a claim, the sweeper,
//	2 gate: mark of epoch 1                a gate that is shut                batch. The gate is not sound, and a rebuild
//	3 book: is the epoch still 1?          the same                           opens it at the next epoch
//	4 gate: open, empty                    an open coupon; nobody was told    nobody has to
//
// The third step is never left out. A publisher that wakes up after the second, when a rebuild of epoch 2 had opened
// the gate, promises were made, and Redis was lost again, would otherwise open an empty gate. There is nothing to wait
// for: nobody can remember a refusal of a coupon that nobody knew. The mark is never asked for twice.
//
// A coupon of an event joins the event's gate, which the event opened (empty, in the same four steps). Its transaction
// reads the gate's epoch under a lock: a rebuild of a greater epoch has the coupon among what it reads, and a gate of
// the same epoch takes it by a script. While that gate is being rebuilt the coupon waits for it.
//
// # A change (rules 26 and 27)
//
// Each change takes the coupon's next revision and carries all terms, not only those that its admin named. Gate and
// book take a revision whole or not at all, and only one that is greater than theirs. So of two changes at once the
// later revision stands in both, and the other admin hears coupon.ErrSuperseded.
//
//	narrower   1 book: revision, reason, what is wanted       2 gate: sound? admitted ≤ new total? holds at once
//	           3 book: the terms, if the gate's reign (epoch) still stands and no later revision was taken
//	           4 book: how it ended
//	wider      1 book: revision, reason and the terms         2 gate: the terms, M later by its own clock
//	           3 book: how it ended
//	both       the narrowest of old and new as the first, the rest as the second, under one reason; a window that moves
//	           to where it does not touch the old one is paused in between
//
// The gate is asked first where it gets narrower, because it alone knows what was promised and is still in the journal.
// Between 2 and 3 a rebuild may have read the old terms: then the gate is asked again. Where it gets wider the book is
// first, so that a rebuild in between reads the wider terms; and M has to pass, because an api may refuse from memory
// for so long.
//
// A change may find the gate narrower than the book, when one before it reached the gate and lost in the book. Its
// revision carries all terms, so the gate ends with exactly these: the narrower ones at once, the wider ones M later.
// Only where the last of several changes is refused nobody is left to do that; it then states the book's terms again,
// under a revision of their own (steps.go, refuse).
//
// A change whose gate is not sound or does not answer is kept (KeptError): it has its revision, and Finish, run by
// batch, takes it up from wherever it was left. All steps are safe to repeat. Several may be at the same change.
//
// # What it relies on
//
// The gate's scripts compare revision and epoch (Gate). The book gives out revisions and compares the epoch under the
// lock of the gates row (Shelf, Changes). A gate that stays behind the book's epoch, because a rebuild stopped before
// its mark, would keep every narrowing out of the book: whoever meets one asks for a rebuild (coupon.WhyBehind).
package publish
