// Package ledger is the book of record: who was issued what, what is on offer, and what could not be booked and why. It
// speaks MySQL 8.0, MariaDB from 10.6 and SQLite; nothing of that leaves the package.
//
// # Promise
//
// What Write has said nil to is in the book for good: each record as an issue row, as a duplicate of one, or as a failed
// event with its reason. No coupon ever has more rows than its total quantity, whatever the gates believe; no user more
// than the per-user limit; no user two coupons of one event.
//
// # How a batch is written (rules 11 to 15)
//
// One READ COMMITTED transaction: the gates of the batch are read under a shared lock, in tag order; that lock comes first,
// since a rebuild stores its barrier under an exclusive one, and whatever is read before the lock may be of an older
// state. Then the barriers that can matter; then the issues in one INSERT; then the failed events; last the counters,
// in one guarded UPDATE in id order, so that the hottest rows are locked for the shortest time and always in the same
// order. Nothing but database calls happens inside.
//
// A first attempt believes that all is well, which it nearly always is. What shows otherwise (a duplicate key, a record
// that a rebuild overtook, a refused guard) rolls back and is done again with a closer look; see attempt.
//
// # What it relies on
//
// Commits are durable (innodb_flush_log_at_trx_commit=1, which is the default; synchronous=FULL on SQLite). Every session
// is forced to READ COMMITTED, strict mode, UTC, and to report changed rather than found rows; see connect. A session
// that stops in the middle of a transaction is ended by the server after five seconds (wait_timeout), so that a suspended
// consumer holds up no rebuild.
//
// # SQLite
//
// One connection writes, in transactions that take the write lock at their beginning; others read, each from the
// snapshot of its own beginning (WAL), and wait for no writer.
package ledger
