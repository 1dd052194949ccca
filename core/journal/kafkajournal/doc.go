// Package kafkajournal keeps the journal on a Kafka topic with Sarama: the publisher (Journal), the reader of rebuilds
// (Reader) and the making of the topic (CreateTopic).
//
// What the publisher promises: Append returns nil only when every in-sync replica has the record; it returns by its
// context's deadline, whatever the brokers do; any error is an unknown outcome, and the record may still be written
// later. It connects and reconnects by itself: Open needs no broker, and while there is none Append waits for one as
// long as its context allows.
//
// What it does not promise: that a record is there once. Within one connection Sarama's idempotent producer sees to
// that; over a reconnection, a restart or a repeated Append a place may stand there twice. Readers take the second one
// for a duplicate (rule 12), so nothing here tries harder.
//
// A connection is given up and replaced (line.go) because Sarama does not come back soon enough by itself: after three
// failures its circuit breaker refuses a partition's records for 10 s, though the broker may be back after one; and
// versions of it have been seen to stall for ever.
package kafkajournal
