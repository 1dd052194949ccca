// Package redisgate is the gate on Redis: one Lua script a call, on Redis' own clock.
//
// What it promises: every script reads and tests everything before its first write, and running it twice does what
// running it once does. So a client that sends a call again after a lost reply does no harm; Mark alone is never sent
// twice by the client (rule 18). A gate that is not sound (rule 2) decides nothing.
//
// Where things are: keys.go names the keys, lua/ has one file an operation, and lua/prelude.lua what they share: the
// reading of a coupon, its terms at an instant, soundness. Each file's header says what it takes, answers, costs and
// what a crash leaves; a test compares the headers with what this package sends.
//
// What stands in Redis for a tag (all keys in one Cluster slot, none with a TTL):
//
//	fc:{TAG}:gate          hash    st, epoch, server, token, generation, members_n, coupons_n
//	fc:{TAG}:coupon:<id>   hash    terms, next_* terms and next_at_us, revision, per_user_limit, admitted, returned,
//	                               pending_n, last_seq
//	fc:{TAG}:holders:<id>  hash    user -> seq:us; with a limit above 1 user, unit separator, nth -> seq:us:key;
//	                               a place that was given back stays with an x in front
//	fc:{TAG}:pending:<id>  zset    the holder's field -> us of acceptance, until the journal has it
//	fc:{TAG}:members       set     events: users
//
// and for a while, with a TTL: fc:{TAG}:load:<epoch>:<token>:… (an attempt's private keys) and fc:{TAG}:sweeper:<id>
// (the sweeper's lease).
//
// What it relies on: scripts are atomic and INFO may be called in them; the server's TIME does not run backwards by
// more than the memory time of the apis; keys are not evicted (maxmemory-policy noeviction), or the gate is rebuilt
// again and again.
package redisgate
