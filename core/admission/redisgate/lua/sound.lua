-- sound: whether the gate of a coupon decides (rule 2).
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
--
-- OUTPUT     'ok'
-- ATOMICITY  no write
-- REPLAY     safe
-- COST       about 8 commands
-- CRASH      leaves nothing

local gate, why = sound(clock())
if not gate then
  return { 'unsound', why }
end
return { 'ok' }
