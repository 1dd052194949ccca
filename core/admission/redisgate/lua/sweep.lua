-- sweep: the places that have been pending for long (rule 9), for the one who has the coupon's lease (rule 30).
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
-- KEYS[last] sweeper: the lease
-- ARGV[1]  age us: entries at least so old
-- ARGV[2]  limit int: at most so many
-- ARGV[3]  owner text: who sweeps
-- ARGV[4]  lease ms: for how long the others leave this coupon alone
--
-- OUTPUT     'ok', epoch, then field and the holder's value of each place, oldest first; no place while another's
--            lease lasts
-- ATOMICITY  the lease is the only write
-- REPLAY     safe: the owner's own lease is renewed, the same places come again
-- COST       about 10 commands a call; nothing is written where nothing is old
-- CRASH      the lease runs out

local lease = table.remove(KEYS)
local now = clock()
local gate, coupon = sound(now)
if not gate then
  return { 'unsound', coupon }
end
local owner = redis.call('GET', lease)
if owner and owner ~= ARGV[3] then
  return { 'ok', gate.epoch }
end
local fields = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', text(now - tonumber(ARGV[1])), 'LIMIT', 0, ARGV[2])
if #fields == 0 then
  return { 'ok', gate.epoch }
end
local values = redis.call('HMGET', KEYS[3], unpack(fields))
local answer = { 'ok', gate.epoch }
for i, field in ipairs(fields) do
  local _, seq = place_of(values[i] or '')
  if not seq then
    return { 'unsound', 'pending' } -- an entry of nobody would be pending for ever
  end
  answer[#answer + 1] = field
  answer[#answer + 1] = values[i]
end
redis.call('SET', lease, ARGV[3], 'PX', ARGV[4])
return answer
