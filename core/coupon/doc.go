// Package coupon holds the nouns and rules that every stage of the pipeline shares: the coupon and its terms, the
// place a gate gives, the verdicts, the stable codes. It knows no store and imports the standard library only.
//
// Two conventions run through the whole product:
//
//   - A decision is a value (Verdict). An error means "we do not know": it is never answered as a refusal and never
//     compensated.
//   - Times are UTC with microseconds, because that is what Redis' TIME, the wire format and the ledger can all keep.
package coupon
