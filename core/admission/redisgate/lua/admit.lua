-- admit: decides for users of one coupon in order of arrival (rule 3).
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
-- ARGV[1]  limit int: places a user may have here, as the caller knows it; another one than the hash's is a broken hash
-- ARGV[2]  member flag: 1 where taking it uses up the user's place in the event
-- ARGV[3+] ask text: the user, with a limit above 1 followed by the idempotency key
--
-- OUTPUT     'ok', epoch, generation, now us, opens us as a text, decisions. The decisions are one text, parted by blanks, in the
--            order of the asks: the verdict's number, and where there is a place verdict:nth:seq:us.
-- ATOMICITY  everything is read and decided before the first write; only the first write can be refused by the server
-- REPLAY     safe: who was admitted by the first run is pending in the second, with the same number
-- COST       about 10 commands a call and 1 to 2 a user; with a limit above 1 one HMGET of limit fields a user
-- CRASH      holder and pending stand, the journal may not have them: the user's retry or the sweeper goes on

local ADMITTED, PENDING, HOLDER, REVOKED = '1', '2', '3', '4'
local CLOSED, NOT_OPEN, PAUSED, USER_LIMIT, EVENT_LIMIT, SOLD_OUT = '5', '6', '7', '8', '9', '10'
local FIRST = 3 -- the first ask in ARGV

local now = clock()
local gate, coupon = sound(now)
if not gate then
  return { 'unsound', coupon }
end
local limit, member = tonumber(ARGV[1]), ARGV[2] == '1'
if limit ~= coupon.limit then
  return { 'unsound', 'coupon' }
end

-- What the batch wrote so far, seen by those behind in it.
local fresh = {} -- holder's field -> true
local broken = false -- a holder whose value cannot be read
local holders, pending, members = { KEYS[3] }, { KEYS[4] }, { KEYS[5] }

-- The refusal that holds whoever asks; nil where there is none. A narrow cap comes last, after the user's own limits.
local t = coupon.terms
local refusal
if t.state == 'closed' or now >= tonumber(t.closes) then
  refusal = CLOSED
elseif now < tonumber(t.opens) then
  refusal = NOT_OPEN
elseif t.state == 'paused' then
  refusal = PAUSED
end

local function held(field, nth, value)
  local gone, seq, us = place_of(value)
  if not seq then
    broken = true
    return ''
  end
  local verdict = HOLDER
  if gone then
    verdict = REVOKED
  elseif fresh[field] or redis.call('ZSCORE', KEYS[4], field) then
    verdict = PENDING
  end
  return verdict .. ':' .. nth .. ':' .. seq .. ':' .. us
end

local function give(field, nth, key)
  coupon.admitted = coupon.admitted + 1
  coupon.pending_n = coupon.pending_n + 1
  coupon.last_seq = coupon.last_seq + 1
  local us = text(now)
  local value = text(coupon.last_seq) .. ':' .. us
  fresh[field] = true
  holders[#holders + 1] = field
  holders[#holders + 1] = key and value .. ':' .. key or value
  pending[#pending + 1] = us
  pending[#pending + 1] = field
  return ADMITTED .. ':' .. nth .. ':' .. value, holders[#holders]
end

local decisions = {}

local function decide_single()
  local count = #ARGV - FIRST + 1
  local values = redis.call('HMGET', KEYS[3], unpack(ARGV, FIRST))
  local elsewhere = member and redis.call('SMISMEMBER', KEYS[5], unpack(ARGV, FIRST)) or {}
  local given = {}
  for i = 1, count do
    local user = ARGV[FIRST + i - 1]
    local value = given[user] or values[i]
    if value then
      decisions[i] = held(user, 1, value)
    elseif refusal then
      decisions[i] = refusal
    elseif elsewhere[i] == 1 then -- a member without a place here has one of another coupon
      decisions[i] = EVENT_LIMIT
    elseif coupon.admitted >= t.cap then
      decisions[i] = SOLD_OUT
    else
      decisions[i], given[user] = give(user, 1)
      if member then
        members[#members + 1] = user
        gate.members_n = gate.members_n + 1
      end
    end
  end
end

-- A user's places, read once a batch: their values by nth, nth by key, and the smallest free nth.
local known = {}
local function places_of(user)
  local mine = known[user]
  if mine then
    return mine
  end
  local fields = {}
  for nth = 1, limit do
    fields[nth] = user .. '\31' .. nth
  end
  mine = { values = redis.call('HMGET', KEYS[3], unpack(fields)), nth_of = {} }
  for nth = limit, 1, -1 do
    if mine.values[nth] then
      local _, seq, _, key = place_of(mine.values[nth])
      broken = broken or not seq
      mine.nth_of[key or ''] = nth
    else
      mine.free = nth
    end
  end
  known[user] = mine
  return mine
end

local function give_next(user, mine, key)
  local nth = mine.free
  local decision
  decision, mine.values[nth] = give(user .. '\31' .. nth, nth, key)
  mine.nth_of[key] = nth
  mine.free = nil
  for further = nth + 1, limit do
    if not mine.values[further] then
      mine.free = further
      break
    end
  end
  return decision
end

local function decide_many()
  for at = FIRST, #ARGV, 2 do
    local user, key = ARGV[at], ARGV[at + 1]
    local mine = places_of(user)
    local nth = mine.nth_of[key]
    local decision
    if nth then
      decision = held(user .. '\31' .. nth, nth, mine.values[nth])
    elseif refusal then
      decision = refusal
    elseif not mine.free then
      decision = USER_LIMIT
    elseif coupon.admitted >= t.cap then
      decision = SOLD_OUT
    else
      decision = give_next(user, mine, key)
    end
    decisions[#decisions + 1] = decision
  end
end

if #ARGV >= FIRST then
  if limit == 1 then
    decide_single()
  else
    decide_many()
  end
end
if broken then
  return { 'unsound', 'holders' }
end

if #holders > 1 then
  redis.call('HSET', KEYS[2], 'admitted', text(coupon.admitted), 'pending_n', text(coupon.pending_n),
    'last_seq', text(coupon.last_seq))
  redis.call('HSET', unpack(holders))
  redis.call('ZADD', unpack(pending))
end
if #members > 1 then
  redis.call('SADD', unpack(members))
  redis.call('HSET', KEYS[1], 'members_n', text(gate.members_n))
end
return { 'ok', gate.epoch, gate.generation, now, t.opens, table.concat(decisions, ' ') }
