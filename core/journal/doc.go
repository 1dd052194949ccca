// Package journal is the durable order of what was accepted: the wire format of a record, and nothing of the broker
// (that is kafkajournal).
//
// What it promises: a record that Decode accepts names exactly one Place, with every number inside the bounds of the
// outside contract, and Encode writes that Place back the same. What it relies on: nothing. Anybody can write to a
// topic, so a record is taken as hostile until it is decoded.
//
// The format is one JSON object:
//
//	{"v":1,"coupon_id":7,"user_id":"u-81","nth":1,"seq":57,"epoch":3,"accepted_at":"2026-11-20T12:00:00.000123Z"}
//
// and with a per-user limit above 1 also "key", the Idempotency-Key. The record's own key is the user id, so that all
// records of a user are in one partition, in order.
//
// A new field that old readers may ignore keeps "v":1. Anything else is a new version, and the readers (consumer, and
// whoever rebuilds) are to be rolled out before the first writer of it: a reader turns what it does not know into a
// failed event, it never guesses.
package journal
