// Package groupreader reads the journal as a member of the consumers' group and hands it to a Writer in batches. A
// partition's records gather for Config.BatchWait after a batch of it began, unless there is a full one; what several
// partitions have at the same time is written together.
//
// What it promises: an offset is marked only after the Writer has said that everything below it is in the book; a batch
// that the Writer could not write is tried again, the same records in the same order, for as long as the partition is
// this member's; nothing is ever skipped, and a record that cannot be decoded goes to the Writer like every other. What
// was written and not marked, because the process died or the partition went to somebody else in between, is read
// again: the Writer takes it for duplicates.
//
// Each partition has two goroutines, and a process has two that write for all of them. The intake takes from Sarama
// whatever comes and never stops doing so: when it holds enough it pauses the fetching of this partition alone, so that one
// slow partition does not hold up the others, and so that it still sees Sarama's only sign of a revocation, the end of the
// messages. The other takes batches out of it, has them written and marks them.
//
// Memory: a partition holds at most two batches' worth of records, what Sarama had fetched when the pause came (two
// exchanges of fetchBytes, or of one greater batch of records), and the batch that is being written.
package groupreader
