// Package batch is the role that puts right what the others left: it makes schema and topic, sends failed events through
// the gate again, brings lost gates back, and completes changes that were left half done.
//
// Each job is idempotent and may be killed anywhere; the next run goes on. Any number of instances may run at once:
// the leases that keep them apart save work, and nothing rests on them.
package batch
