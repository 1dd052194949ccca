// Package demo lets a crowd loose on a standalone stack over HTTP and then judges the outcome from the books: the
// ledger by its own SQL, the journal by its own reader. It shares no code with what it judges.
package demo
