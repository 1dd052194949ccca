// Package admission is the first stage: who gets in.
//
// # What it promises
//
//   - A claim is answered with a place only if the place is in the journal, acknowledged by every in-sync replica, and the
//     gate said after that acknowledgement that the place stands (rule 7). Such a place ends as exactly one issue row,
//     whatever is killed afterwards (I3).
//   - The gate gives no more places than the total (I1), none twice to one user beyond the limit and no two of an event
//     (I2), and the same user the same number (I6).
//   - Unknown is not no. A gate or a journal that does not answer makes the answer "unavailable, repeat the request". A
//     place is never freed because an answer is missing (rule 5), and nothing is ever undone.
//   - Every claim is answered within the answer timeout. Every queue has a bound; beyond it the answer is ErrBusy at once.
//
// # Who does what
//
//		Desk     claim ──► Gate.Admit ──► Journal.Append ──► Gate.Confirm ──► 202 accepted
//		                     │  holder, not pending ─────────────────────────► 200 the same receipt
//		                     │  a refusal ───────────────────────────────────► its own code
//		                     │  not sound ──► OnUnsound, a rebuild ──────────► 503 repeat
//		                     └─ anything else, or too late ──────────────────► 503 repeat
//
//		Sweeper  every live coupon ──► Gate.Sweepable ──► Journal.Append ──► Gate.Confirm
//
//	  - Gate (gate.go) is the port. redisgate decides in Redis by Lua scripts; memgate is the same rule in plain Go, fake and
//	    oracle; gatetest is the suite that both pass.
//	  - Desk (desk*.go) is the use case of a claim. Claims that come in while a call to the gate is in flight go out together
//	    in the next one, in order of arrival; likewise the confirmations. One call is in flight in each direction, and nobody
//	    waits for a timer (package batching).
//	  - Sweeper (sweeper*.go) brings into the journal what was decided and not journaled, and is the first to notice a gate
//	    that is lost.
//
// # The states of a place
//
//	none ──Admit──► pending ──Append──► pending and journaled ──Confirm──► settled
//	                  ▲  │                     │
//	                  └──┴── the user's retry, or the sweeper, appends again ┘
//
// The gate cannot tell the two pending states apart, and need not: a second record of the same place is a duplicate to the
// ledger. A holder who is not pending is journaled, so a retry is answered from the gate alone (rule 6). A rebuild ends all
// of them: places that are in the ledger or in the log before its barrier come back settled, the others are given anew.
//
// A place travels with the epoch of the gate that gave it. Confirm compares it: after a rebuild the same user may have the
// same number and not be in the journal (rule 4). An acknowledgement that comes when the claim has been answered already
// is confirmed all the same, with its own number and epoch (rule 8).
//
// # What it relies on
//
//   - Journal.Append returns nil only for a record that will never be lost, and heeds its context.
//   - A gate call is safe to run twice, and answers with coupon.UnsoundError only if it decided nothing.
//   - Refs and LiveCoupons know the coupons of the ledger. What they remember may be old: a coupon that joined its event
//     meanwhile makes the gate answer coupon.WhyCoupons, which is looked up again before it counts as unsound.
//   - Somebody rebuilds the gates named by OnUnsound (package reconcile).
//
// # What a crash leaves
//
// Nothing is kept in this process. A crash between Admit and Append leaves a pending place; a crash between Append and
// Confirm leaves a pending place that is journaled. The user's retry settles either at once, a sweeper of any instance
// within seconds. docs/issuance-cycle.md goes through all steps.
package admission
