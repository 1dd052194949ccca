-- mark: closes a gate for one attempt to open it (rule 18).
--
-- KEYS[1]  gate
-- ARGV[1]  epoch int: the attempt's own
--
-- OUTPUT     'ok', token: <us of the mark>-<epoch>; or 'overtaken', the gate's epoch
-- ATOMICITY  read, then the whole gate is written anew; the generation alone is kept, so that it never falls
-- REPLAY     a second run says 'overtaken': the caller starts over with an epoch of its own, as after any doubt. Never
--            sent twice by the client
-- COST       4 commands
-- CRASH      the gate is shut until somebody's rebuild with a greater epoch opens it

local epoch = tonumber(ARGV[1])
local old = ask('HMGET', KEYS[1], 'epoch', 'generation') or {}
local its = int(old[1])
if its and its >= epoch then
  return { 'overtaken', its }
end
local token = text(clock()) .. '-' .. text(epoch)
local server = this_server()
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'st', 'mark', 'epoch', text(epoch), 'server', server, 'token', token,
  'generation', text(int(old[2]) or 0))
return { 'ok', token }
