// Package core is the pipeline of a claim; it holds no code itself. Its folders are named after the stages, so that a
// listing tells what happens:
//
//	claim ──► admission ──► journal ──► ledger
//	            Redis        Kafka      MySQL
//	              ▲            │          │
//	              └─────── reconcile ◄────┘
//
//	publish    what is on offer, and how it changes while the sale runs
//	admission  who gets in: one Lua script decides for a group of users; the journal has it before the answer
//	journal    the durable order of what was accepted
//	ledger     the book of record: bulk writes, each record a row, a duplicate or a failed event
//	reconcile  rebuilds lost gates from ledger and journal, sends failed events through the gate again
//	audit      compares rows, log and gates; shares no code with any of the others, and none of them knows it
//	coupon     the nouns and rules all of them share
//	support    plumbing of the programs, and batching; knows no stage
//
// Imports go one way: coupon knows nobody; the stages know coupon and never each other; a technology is known only to the
// package named after it (admission/redisgate, journal/kafkajournal, ledger). A stage declares the small interfaces it
// calls, and the programs api, consumer and batch put the implementations in.
//
// # Vocabulary
//
//	tag          what decides together: the coupons of an event (e<id>), or one coupon alone (c<id>)
//	gate         the keys of a tag in Redis, and the epoch they belong to
//	epoch        one reign of a gate; every rebuild begins the next
//	sound        the gate is open, was written on this server, and counts what it holds; only then it decides (rule 2)
//	place        what a user gets: coupon, user, nth, seq; accepted at an instant of Redis' clock
//	seq          the number in the queue of a coupon; never falls, never changes for its holder
//	pending      decided, and the journal may not have it yet
//	settled      a holder who is not pending: the journal has the record
//	confirm      the gate's word, after the journal's acknowledgement, that the place still stands
//	verdict      a gate's decision on a claim; a value, never an error
//	unknown      an error: nobody knows; answered "repeat the request", never a refusal, never undone
//	mark         a gate closed for one attempt to rebuild it; its token names the attempt
//	barrier      the ends of the log's partitions when the mark stood; later records of older epochs do not count
//	overtaken    a record behind a barrier of a newer epoch: it was never promised
//	failed event a record that did not become a row, with its reason; sent through the gate again later
//	generation   grows with every change of a gate that ends refusals from memory
//	revision     grows with every change of a coupon's terms
//	M            how long a refusal may be given from memory; wider terms wait for it
//
// # Invariants
//
//	I1 cap           rows issued <= total quantity, for each coupon, always, in the database too
//	I2 once          at most the limit per coupon and user; at most one first-come-issue coupon per event and user
//	I3 kept promise  a claim answered 200 or 202 ends as exactly one issue row, whatever is killed afterwards
//	I4 no ghost      every row has a record; every record ends as a row or as a failed event with its reason
//	I5 no leak       when all is quiet: admitted in Redis = issued in the database; no place is burned
//	I6 same answer   the same user asking again gets the same receipt, never "sold out"
//
// The rules by number, as comments name them, are the protocol of a claim; docs/issuance-cycle.md walks through them in
// the order in which they happen.
package core
