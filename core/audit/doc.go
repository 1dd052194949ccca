// Package audit compares the three books of the product: the rows in the database, the log in Kafka and the gates in
// Redis. It shares no code with those who write them: it imports no other package of the product, has statements, a reader
// of the log and a reader of the gates of its own, and knows the formats from docs/protocol.md alone. So a mistake of the
// writers is not repeated here. It writes nothing.
//
// # While it all runs
//
// The books are never at rest, and one cannot read all three at one instant. What makes each comparison hold is the order
// of reading:
//
//	1 log       the offsets that the consumers have committed        what lies below them is written by now
//	2 database  rows, failed events, barriers, from one snapshot     so a record below them that has neither is lost
//	3 gates     members, holders, pending entries, members again     every row had its holder before, in a sound gate
//	4 log       from its start to ends that are noted now            rows and settled holders had their records before
//
// A gate is read only while it is sound, and the reading counts only if it was of the same reign before and after. What is
// work in flight sooner or later goes away: gates that are being rebuilt, places that are pending, changes that are half
// done, consumers that are behind are looked at again until Settle is over. And whatever is found makes the whole audit
// look a second time: only what is wrong both times is a finding.
//
// # Memory
//
// Rows come in pages by their key, the log partition by partition, holders by HSCAN. What is compared goes to a file, in
// buckets by user, and each bucket fits in memory. So memory depends on the number of coupons, gates and barriers, and
// not on that of issues.
//
// # What cannot be judged
//
// Where Kafka has dropped old records, the rows of that time are not asked for theirs. Records that no consumer has come to
// are not judged. Both are said in the report's notes. A book that cannot be read ends the audit with a BlindError: unknown
// is not clean.
package audit
