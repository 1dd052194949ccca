// Package consumer is the role that turns the journal into the ledger: a member of the consumers' group that reads the
// partitions it is given, writes them in bulk and marks them afterwards. As many as there are partitions can share the
// work.
//
// It survives every server: while the database or Kafka is away it waits, says since when on /readyz, and goes on where
// it was. What it cannot wait for, it says at the start and ends: a topic or a schema that is not there, a password that
// is wrong.
package consumer
