// Package reconcile makes the books agree again: it brings back gates that were lost (rules 16 to 25 of the protocol)
// and sends failed events through the gate once more.
//
// # The rebuild
//
// A gate that is absent, half there, of another server or of another reign of this one decides nothing (rule 2). What
// it must hold is in the book and in the journal: the rows, and the records that no consumer has written yet. A rebuild
// reads both and opens the gate behind the next epoch. Any number of processes may be at it, on the same gate, and each
// may crash or fall asleep anywhere (rule 16): an attempt is named by its epoch, every step looks whether that still
// stands, and leases only save work.
//
//	step                                        why here, and what a crash after it leaves
//	17 book: epoch + 1 → k                      the attempt's name. The gate may be sound still, one epoch behind
//	18 gate: mark k                             from now on nobody is admitted or confirmed. Never repeated: a doubt
//	   (wait for lagging replicas)              starts over at 17. Never just deleted: a late attempt could open it
//	19 journal: the ends of all partitions      what lands later was never promised: nobody confirms it
//	20 book: barrier k, if the epoch is k       under the exclusive lock of the gates row, so that no consumer's
//	                                            transaction is half before it; from now on consumers refuse what is late
//	21 journal: committed offsets               only now; below each, rows and failed events are in the book
//	22 book: coupons, terms, rows               only now, in one snapshot, so that nothing falls between 21 and 22
//	23 journal: from committed to noted ends    records that no barrier up to k overtakes. A row wins over a record, the
//	                                            earliest record of a user over the others
//	24 gate: load into private keys             with 22 and 23, page by page; of an attempt that dies they run out
//	25 gate: open, at least M after the mark    if it still carries this very mark on this very server and holds what
//	                                            was loaded. M later, since an api may refuse from memory for so long
//
// Turn two of them round, or leave one out, and a promise breaks: the tests of this package run random orders of steps
// against the invariants and see it.
//
// Many tags share one pass: one noting of ends, one reading of the journal, one wait of M after the last mark. A tag
// whose gate fails leaves the pass alone; what all of them need fails for all. Memory is bounded: rows in pages of
// PageRows, the journal in chunks of tailChunk, counts by coupon.
//
// What the tail becomes must be what the consumers will make of it, or holders and rows would differ for good. So the
// same tests stand in both: unknown coupon, impossible number or key, an epoch above the gate's, overtaken, the user's
// row, the member's other coupon.
//
// Committed offsets below the start of the journal mean that records are gone which nobody wrote: the gate stays shut
// and the log says ALARM (rule 21). To open it then is a person's decision.
//
// # The queue
//
// Queue takes tags from whoever met a gate that is not sound: claims, the sweeper, publishers, batch. It looks again
// before it works, waits out the leases of others, and comes back later each time something fails. A gate that is
// sound but behind its epoch in the book (a crash after 17) is rebuilt as well: no change and no new coupon could
// follow it. When others overtake a rebuild, perhaps because it took longer than its lease, its next lease is longer,
// so that of several slow ones one comes to its end.
//
// # The retry
//
// A failed event is a record that did not become a row. Retrier sends its user through the gate as an ordinary claim,
// never straight into the book, where a row without a place would be one too many (I5). What the gate refuses comes
// again later, at most MaxAttempts times, counted across the records of the same claim; then it is quarantined and a
// person decides. An outage is no attempt.
//
// # What it relies on
//
// Gates and Log say what each call must hold; Book what its transactions and locks must. Consumers read barriers in the
// transaction in which they write (rules 11 to 13).
package reconcile
