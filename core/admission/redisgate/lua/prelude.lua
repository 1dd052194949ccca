-- prelude: what the scripts of the gate share. Every script is this file followed by its own.
--
-- The keys of one coupon come in one order everywhere a script speaks of a coupon:
--   KEYS[1] gate, KEYS[2] coupon, KEYS[3] holders, KEYS[4] pending, and for the coupons of an event KEYS[5] members,
--   KEYS[6+] the coupon hashes of all coupons of the event, this one included.
--
-- Every script answers an array whose first element says what became of the call: 'ok', or 'unsound', 'overtaken',
-- 'too_early', 'below_issued', 'superseded' with a word of detail. Unless it says 'ok', nothing was written.
--
-- Numbers are doubles: exact up to 2^53, and the present in microseconds is below that until the year 2255. The edges of a
-- window may lie in the year 9999, so they stay texts, and are numbers only where they are compared with the present.

-- Redis prints a number with 14 digits when it is glued to text; a time has 16.
local function text(n)
  return string.format('%.0f', n)
end

-- nil where a field is missing or no whole number: tonumber alone would take '0x1f', ' 7' and 'nan'.
local function int(s)
  if s and string.find(s, '^%d+$') then
    return tonumber(s)
  end
  return nil
end

-- Microseconds of this server's clock. One reading decides for the whole batch: TIME does not move inside a script.
local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- The reign this server is on (rule 1). The run id alone is the same after a failover to a lagging replica and back.
local function this_server()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local reign = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  if not run or not reign then
    error('INFO names no run_id and master_replid: this server cannot be told from another')
  end
  return run .. ':' .. reign
end

-- A key that somebody overwrote with another type is as lost as one that is gone: nil, so that a rebuild mends it. Any
-- other failure ends the script.
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'WRONGTYPE', 1, true) then
      return nil
    end
    error(answer.err)
  end
  return answer
end

-- A cap field as a number: '' is unlimited.
local function cap_of(s)
  if s == '' then
    return math.huge
  end
  return int(s)
end

local function cap_text(n)
  if n == math.huge then
    return ''
  end
  return text(n)
end

-- How much a state gives, for comparing two of them.
local GIVES = { closed = 0, paused = 1, open = 2 }

-- Terms out of four fields; nil where one of them is broken.
local function terms(state, opens, closes, cap)
  local t = { state = state, opens = opens, closes = closes, cap = cap_of(cap) }
  if not state or not GIVES[state] or not int(opens) or not int(closes) or not t.cap then
    return nil
  end
  return t
end

-- Whether one whole number is less than another, exactly, however many digits they have.
local function less(a, b)
  if #a ~= #b then
    return #a < #b
  end
  return a < b
end

-- The narrower of both in each term.
local function meet(a, b)
  local m = { state = a.state, opens = a.opens, closes = a.closes, cap = math.min(a.cap, b.cap) }
  if GIVES[b.state] < GIVES[a.state] then
    m.state = b.state
  end
  if less(a.opens, b.opens) then
    m.opens = b.opens
  end
  if less(b.closes, a.closes) then
    m.closes = b.closes
  end
  return m
end

local function same(a, b)
  return a.state == b.state and a.opens == b.opens and a.closes == b.closes and a.cap == b.cap
end

-- Splits a holder's value [x]seq:us[:key] (x: the place was given back). nil where it is broken.
local function place_of(value)
  local gone, seq, us, key = string.match(value, '^(x?)(%d+):(%d+):?(.*)$')
  if not seq then
    return nil
  end
  return gone == 'x', seq, us, key
end

-- The gate and its tag (rule 2 without the coupon): the gate as a table, or nil and what is wrong.
local function sound_gate()
  local g = ask('HMGET', KEYS[1], 'st', 'epoch', 'server', 'generation', 'members_n', 'coupons_n')
  if not g or (g[1] ~= 'open' and g[1] ~= 'mark') then
    return nil, 'no_gate'
  end
  if g[1] == 'mark' then
    return nil, 'marked'
  end
  local gate = { epoch = int(g[2]), generation = int(g[4]), members_n = int(g[5]), coupons_n = int(g[6]) }
  if not gate.epoch or not gate.generation or not gate.members_n or not gate.coupons_n then
    return nil, 'no_gate'
  end
  if g[3] ~= this_server() then
    return nil, 'foreign'
  end
  return gate
end

-- The last two tests of rule 2, events only.
local function sound_event(gate)
  if KEYS[5] then
    if ask('SCARD', KEYS[5]) ~= gate.members_n then
      return 'members'
    end
    if redis.call('EXISTS', unpack(KEYS, 6)) ~= gate.coupons_n then
      return 'coupons'
    end
  end
  return nil
end

-- The coupon's hash with the terms that decide at that instant, and those that wait for their time (rule 27: no write
-- is needed when it comes). nil where the hash is missing or broken.
local function read_coupon(now)
  local f = ask('HMGET', KEYS[2], 'state', 'opens_us', 'closes_us', 'cap', 'revision', 'per_user_limit', 'admitted',
    'returned', 'pending_n', 'last_seq', 'next_at_us', 'next_state', 'next_opens_us', 'next_closes_us', 'next_cap')
  if not f then
    return nil
  end
  local c = { terms = terms(f[1], f[2], f[3], f[4]), revision = int(f[5]), limit = int(f[6]), admitted = int(f[7]),
              returned = int(f[8]), pending_n = int(f[9]), last_seq = int(f[10]) }
  if not c.terms or not c.revision or not c.limit or not c.admitted or not c.returned or not c.pending_n
      or not c.last_seq then
    return nil
  end
  if f[11] then
    local at, wider = int(f[11]), terms(f[12], f[13], f[14], f[15])
    if not at or not wider then
      return nil
    end
    if now >= at then
      c.terms = wider
    else
      c.next_at, c.waiting = at, wider
    end
  end
  return c
end

-- Rule 2 whole: gate and coupon, or nil and what is wrong.
local function sound(now)
  local gate, why = sound_gate()
  if not gate then
    return nil, why
  end
  local coupon = read_coupon(now)
  if not coupon then
    return nil, 'coupon'
  end
  if ask('HLEN', KEYS[3]) ~= coupon.admitted + coupon.returned then
    return nil, 'holders'
  end
  if ask('ZCARD', KEYS[4]) ~= coupon.pending_n then
    return nil, 'pending'
  end
  why = sound_event(gate)
  if why then
    return nil, why
  end
  return gate, coupon
end

