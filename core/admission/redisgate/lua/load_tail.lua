-- load_tail: adds places of the journal that no row has yet to an attempt's private keys (rules 23 and 24).
--
-- KEYS[1]  gate
-- KEYS[2]  load_calls: private; what each call added
-- KEYS[3]  load_holders: private
-- KEYS[4]  load_members: private; only for a coupon that uses up the user's place in the event
-- ARGV[1]  epoch int: with the token, the attempt
-- ARGV[2]  token text
-- ARGV[3]  ttl ms: of the private keys, from their last call on
-- ARGV[4]  call text: names this call, so that its second run gives the first one's answer
-- ARGV[5+2i] field text: the holder's field
-- ARGV[6+2i] place text: seq:us[:key]
--
-- OUTPUT     'ok', how many were added; or 'overtaken' when the gate is no longer this attempt's
-- ATOMICITY  the keys are nobody else's; a row and an earlier record win over a later record, in an event also those of
--            another coupon
-- REPLAY     safe: by the call's name
-- COST       1 to 2 commands a place
-- CRASH      the private keys run out with their TTL

local g = ask('HMGET', KEYS[1], 'st', 'epoch', 'token')
if not g or g[1] ~= 'mark' or g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then
  return { 'overtaken', 'the gate is not marked by this attempt' }
end
local before = redis.call('HGET', KEYS[2], ARGV[4])
if before then
  return { 'ok', tonumber(before) }
end
local added = 0
for at = 5, #ARGV, 2 do
  local free = true
  if KEYS[4] then
    free = redis.call('SADD', KEYS[4], ARGV[at]) == 1
  end
  if free then
    added = added + redis.call('HSETNX', KEYS[3], ARGV[at], ARGV[at + 1])
  end
end
redis.call('HSET', KEYS[2], ARGV[4], text(added))
for i = 2, #KEYS do
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return { 'ok', added }
