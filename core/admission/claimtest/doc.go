// Package claimtest judges histories: many clients claim, look and change the cap of a coupon, or of the coupons of one
// event, at the same time, write down every question and answer with its times, and a checker looks for one order in which
// a single, undisturbed counter would have given the same answers. It knows the promises of the outside contract and
// nothing of the product; it imports nothing of it, so that also those may use it who judge from outside.
//
// # The counter
//
// A coupon has places, a state (open, paused, closed) and a list of who holds which number. Each of these happens at one
// instant between question and answer:
//
//   - Claim. Who holds a place is told its number, the same one always, whatever else is true. Else, the first that fits:
//     closed, paused, event_limit (the user holds a place of another coupon of the event), sold_out (as many holders as
//     places); else the user gets a place. Where refusals come from memory (Model.Remembers) the reason may be one that was
//     the first to fit up to M ago, if it is still true: "sold out" of a coupon that has just been paused. Its number is the next one (Model.Dense), or in a history with losses one above
//     every number that is known to be held.
//   - Me. Who holds a place is told its number; no_issue says that the user holds none.
//   - Read. The state and how many places are left.
//   - Change. What is narrower holds at once. below_issued is said exactly when there are more holders than the new cap.
//     What is wider waits.
//   - Holds. What waits holds, at one instant that lies M after some instant of its Change: [question + M, answer + M].
//     Until that instant the old terms decide, after it the new ones, for everybody. A later change that widens further
//     waits anew; one that cuts what waits leaves it its time.
//
// # What is not known
//
// An answer that is lost, late or 503 is Unknown. Such a claim or change may have been done at any time from its question
// on, until the end of the history, or never; the model tries all of them. So a user whose claim is unknown may hold a
// place, which others then cannot have, and learns its number by asking again.
//
// A gate that is lost and rebuilt (Lost) may forget places of which nobody was told, any of them, and none other: what was
// answered with a number stays. Where failed events are sent again on behalf of users, a claim that was forgotten may be
// done once more (Recorder.Replayed).
package claimtest
