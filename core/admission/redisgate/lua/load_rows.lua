-- load_rows: puts holders that are rows of the ledger into an attempt's private keys (rules 22 and 24).
--
-- KEYS[1]  gate
-- KEYS[2]  load_holders: private
-- KEYS[3]  load_members: private; only for a coupon that uses up the user's place in the event
-- ARGV[1]  epoch int: with the token, the attempt
-- ARGV[2]  token text
-- ARGV[3]  ttl ms: of the private keys, from their last call on
-- ARGV[4+2i] field text: the holder's field
-- ARGV[5+2i] place text: [x]seq:us[:key], x where the place was given back
--
-- OUTPUT     'ok'; or 'overtaken' when the gate is no longer this attempt's
-- ATOMICITY  the keys are nobody else's; a row wins over whatever stands there
-- REPLAY     safe: the same values are written again
-- COST       2 to 4 commands a call, at most 1,000 arguments each
-- CRASH      the private keys run out with their TTL

local g = ask('HMGET', KEYS[1], 'st', 'epoch', 'token')
if not g or g[1] ~= 'mark' or g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then
  return { 'overtaken', 'the gate is not marked by this attempt' }
end
if #ARGV < 4 then
  return { 'ok' }
end
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if KEYS[3] then
  local members = { KEYS[3] }
  for at = 4, #ARGV, 2 do
    members[#members + 1] = ARGV[at]
  end
  redis.call('SADD', unpack(members))
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
return { 'ok' }
