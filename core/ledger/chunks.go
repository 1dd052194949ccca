package ledger

import "iter"

// chunk bounds the rows of one statement: with 17 columns still half of the 32,766 variables that SQLite takes, and
// with 300 bytes a row far below the 4 MiB that the smallest max_allowed_packet in use allows. Bigger statements gain
// nothing (measured: 500 and 1000 rows are equally fast).
const chunk = 1000

// chunks cuts a list into parts of at most size.
func chunks[T any](list []T, size int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			n := min(size, len(list))
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}
