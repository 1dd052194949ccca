-- holder: a user's place at a coupon, as the gate knows it.
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
-- ARGV[1+] field text: the user's fields that are asked for
--
-- OUTPUT     'ok', epoch, then the place of the greatest seq among them: which of the fields (from 1), its value, 1 when
--            it is pending; nothing where the user has none
-- ATOMICITY  no write
-- REPLAY     safe
-- COST       about 10 commands
-- CRASH      leaves nothing

local gate, coupon = sound(clock())
if not gate then
  return { 'unsound', coupon }
end
local values = redis.call('HMGET', KEYS[3], unpack(ARGV))
local latest, greatest = nil, 0
for i = 1, #ARGV do
  if values[i] then
    local _, seq = place_of(values[i])
    if not seq then
      return { 'unsound', 'holders' }
    end
    if tonumber(seq) > greatest then
      latest, greatest = i, tonumber(seq)
    end
  end
end
if not latest then
  return { 'ok', gate.epoch }
end
local pending = redis.call('ZSCORE', KEYS[4], ARGV[latest]) and 1 or 0
return { 'ok', gate.epoch, latest, values[latest], pending }
