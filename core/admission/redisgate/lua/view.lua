-- view: what a reader is told of a coupon.
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
--
-- OUTPUT     'ok', epoch, generation, now us, state, opens us and closes us as texts, cap (empty:
--            unlimited), taken, pending, 1 when wider terms wait for their time, members (0 without an event)
-- ATOMICITY  no write
-- REPLAY     safe
-- COST       about 8 commands
-- CRASH      leaves nothing

local now = clock()
local gate, coupon = sound(now)
if not gate then
  return { 'unsound', coupon }
end
local t = coupon.terms
return { 'ok', gate.epoch, gate.generation, now, t.state, t.opens, t.closes, cap_text(t.cap), coupon.admitted,
         coupon.pending_n, coupon.waiting and 1 or 0, KEYS[5] and gate.members_n or 0 }
