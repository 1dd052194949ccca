-- confirm: says of places at one coupon whether they still stand, and takes them off pending (rule 4).
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
-- ARGV[1+3i] field text: the holder's field, user or user, unit separator, nth
-- ARGV[2+3i] seq int
-- ARGV[3+3i] epoch int: of the record that the journal has
--
-- OUTPUT     'ok', one text with a 1 (stands) or a 0 (unknown) for each place, in order
-- ATOMICITY  all holders are read before the first write
-- REPLAY     safe: the answer does not depend on the pending entry, and an entry goes once
-- COST       about 10 commands a call, 2 of them with all fields
-- CRASH      nothing half done; an entry that was not taken off is swept again and taken off then
--
-- A place that was given back answers 0 (its user is told "revoked" when asking again), yet leaves pending: the journal
-- has it, and nobody would ever take it off.

local now = clock()
local gate, coupon = sound(now)
if not gate then
  return { 'unsound', coupon }
end

local fields = {}
for at = 1, #ARGV, 3 do
  fields[#fields + 1] = ARGV[at]
end
if #fields == 0 then
  return { 'ok', '' }
end
local values = redis.call('HMGET', KEYS[3], unpack(fields))
local stands, journaled = {}, { KEYS[4] }
for i, field in ipairs(fields) do
  local seq, epoch = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  stands[i] = '0'
  if values[i] and epoch == gate.epoch then
    local gone, its = place_of(values[i])
    if its and tonumber(its) == seq then
      journaled[#journaled + 1] = field
      if not gone then
        stands[i] = '1'
      end
    end
  end
end

if #journaled > 1 then
  local removed = redis.call('ZREM', unpack(journaled))
  if removed > 0 then
    redis.call('HSET', KEYS[2], 'pending_n', text(coupon.pending_n - removed))
  end
end
return { 'ok', table.concat(stands) }
