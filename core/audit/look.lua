-- look: what one gate says of one coupon and of itself, at one instant. Nothing is written.
--
-- KEYS[1] gate, KEYS[2] coupon, KEYS[3] holders, KEYS[4] pending, KEYS[5] members
--
-- OUTPUT  now us as a text, run id and replication id of this server, the gate's fields, the coupon's fields, and the
--         numbers of holders, pending entries and members; -1 for a key of another type

local function text(n) return string.format('%.0f', n) end

local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    return nil
  end
  return answer
end

local t = redis.call('TIME')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local reign = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
return {
  text(tonumber(t[1]) * 1000000 + tonumber(t[2])), run .. ':' .. reign,
  ask('HGETALL', KEYS[1]) or {}, ask('HGETALL', KEYS[2]) or {},
  ask('HLEN', KEYS[3]) or -1, ask('ZCARD', KEYS[4]) or -1, ask('SCARD', KEYS[5]) or -1,
}
