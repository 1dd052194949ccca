package coupon

// Barrier is what a rebuild noted before it read anything: the end offset of every partition when its mark stood
// (rules 19 and 20). A partition that is missing has the noted end 0.
type Barrier struct {
	Epoch int64
	Ends  map[int32]int64
}

// Barriers are the stored barriers of some tags.
type Barriers map[string][]Barrier

// Overtaken says whether a record of that epoch at that place in the journal was overtaken by a rebuild (rule 13): some
// barrier of a greater epoch, up to upTo, was noted at or below its offset. Such a record was never promised. The epoch
// alone says nothing: an old record before the barrier is good.
func (b Barriers) Overtaken(tag string, epoch, upTo int64, partition int32, offset int64) bool {
	for _, barrier := range b[tag] {
		if barrier.Epoch > epoch && barrier.Epoch <= upTo && offset >= barrier.Ends[partition] {
			return true
		}
	}
	return false
}
