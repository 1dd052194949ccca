-- change: one revision of a coupon's terms at the gate (rules 26 and 27).
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
-- ARGV[1]  revision int: of the change
-- ARGV[2]  widen flag: 1 when the ledger has the terms already, 0 when the gate is asked first
-- ARGV[3]  epoch int: widening only, at which the ledger took it
-- ARGV[4]  wait us: M; what is wider than the gate's terms holds so much later. A narrowing may bring something wider
--          too, where an earlier widening never reached the gate; with 0 it leaves that out
-- ARGV[5]  state text
-- ARGV[6]  opens us
-- ARGV[7]  closes us
-- ARGV[8]  cap cap: empty is unlimited
--
-- OUTPUT     'ok', the gate's epoch; 'superseded', the gate's revision; 'below_issued', admitted
-- ATOMICITY  all tests come before the first write
-- REPLAY     safe: the gate's own revision is 'ok', and nothing is written
-- COST       about 12 commands
-- CRASH      nothing half done

local now = clock()
local gate, coupon = sound(now)
if not gate then
  return { 'unsound', coupon }
end
local revision, widen = tonumber(ARGV[1]), ARGV[2] == '1'
if revision == coupon.revision then
  return { 'ok', gate.epoch }
end
if widen and gate.epoch > tonumber(ARGV[3]) then
  return { 'ok', gate.epoch } -- a newer gate was loaded from a ledger that had these terms
end
if revision < coupon.revision then
  return { 'superseded', coupon.revision }
end
local to = terms(ARGV[5], ARGV[6], ARGV[7], ARGV[8])
if not to then
  error('the terms of the change cannot be read')
end
local wait = tonumber(ARGV[4])
if not widen and wait == 0 then
  to = meet(to, coupon.waiting or coupon.terms) -- without a wait nothing may get wider, a widening that never came neither
end
if not widen and coupon.admitted > to.cap then
  return { 'below_issued', coupon.admitted }
end

-- What decides from now on is never wider than before. What is wider waits, since somebody may remember a refusal.
local current = meet(coupon.terms, to)
local fields = { KEYS[2], 'revision', text(revision), 'state', current.state, 'opens_us', current.opens,
                 'closes_us', current.closes, 'cap', cap_text(current.cap) }
if same(current, to) then
  redis.call('HDEL', KEYS[2], 'next_at_us', 'next_state', 'next_opens_us', 'next_closes_us', 'next_cap')
else
  -- A narrowing that cuts what waits leaves it its time: jumping to a value between the two would outrun a memory of
  -- "sold out". Whatever is new in what waits has its own wait from now.
  local at = now + wait
  if coupon.waiting and same(meet(coupon.waiting, to), to) then
    at = coupon.next_at
  end
  for _, field in ipairs({ 'next_at_us', text(at), 'next_state', to.state, 'next_opens_us', to.opens,
                           'next_closes_us', to.closes, 'next_cap', cap_text(to.cap) }) do
    fields[#fields + 1] = field
  end
end
redis.call('HSET', unpack(fields))
redis.call('HSET', KEYS[1], 'generation', text(gate.generation + 1))
return { 'ok', gate.epoch }
