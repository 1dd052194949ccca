-- join: a new coupon joins the sound gate of a live event (rule 29).
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members
-- KEYS[6+] sibling: the coupon hashes of the event, the new one's included
-- ARGV[1]  epoch int: of the event's gate when the ledger took the coupon
-- ARGV[2]  state text
-- ARGV[3]  opens us
-- ARGV[4]  closes us
-- ARGV[5]  cap cap: empty is unlimited
-- ARGV[6]  revision int
-- ARGV[7]  limit int: places a user may have
--
-- OUTPUT     'ok'; 'overtaken', the gate's epoch
-- ATOMICITY  the event's gate is tested before the first write
-- REPLAY     safe: a coupon that is there already, in a sound gate of whatever epoch, is 'ok' and left as it is
-- COST       about 10 commands
-- CRASH      nothing half done
--
-- The hash of a coupon that had joined and was lost is not made anew: without it the event has fewer coupons than
-- coupons_n, which is not sound.

local now = clock()
local gate, why = sound_gate()
if not gate then
  return { 'unsound', why }
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  gate, why = sound(now)
  if not gate then
    return { 'unsound', why }
  end
  return { 'ok' }
end
why = sound_event(gate)
if why then
  return { 'unsound', why }
end
if gate.epoch ~= tonumber(ARGV[1]) then
  return { 'overtaken', gate.epoch }
end
redis.call('HSET', KEYS[2], 'state', ARGV[2], 'opens_us', ARGV[3], 'closes_us', ARGV[4], 'cap', ARGV[5],
  'revision', ARGV[6], 'per_user_limit', ARGV[7], 'admitted', '0', 'returned', '0', 'pending_n', '0', 'last_seq', '0')
redis.call('UNLINK', KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'coupons_n', text(gate.coupons_n + 1))
return { 'ok' }
