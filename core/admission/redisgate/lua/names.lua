-- names: who has a place, or for the coupons that use up a place in the event, who is a member of it; a page of them.
--
-- KEYS[1]  gate
-- KEYS[2]  coupon
-- KEYS[3]  holders
-- KEYS[4]  pending
-- KEYS[5]  members, events only
-- KEYS[6+] sibling, events only: the coupon hashes of the event
-- ARGV[1]  cursor text: 0 at first, then what the last page said
-- ARGV[2]  count int: about how many a page
-- ARGV[3]  member flag: 1 where taking it uses up the user's place in the event
--
-- OUTPUT     'ok', epoch, generation, the next cursor (0: this was the last page), the fields as one text, parted by blanks
-- ATOMICITY  no write. Who is there from the first page to the last is named at least once; who comes meanwhile may be missed
-- REPLAY     safe
-- COST       about 10 commands a page; a page of 512 takes about 0.3 ms
-- CRASH      leaves nothing

local gate, why = sound(clock())
if not gate then
  return { 'unsound', why }
end
if ARGV[3] == '1' then
  local page = redis.call('SSCAN', KEYS[5], ARGV[1], 'COUNT', ARGV[2])
  return { 'ok', gate.epoch, gate.generation, page[1], table.concat(page[2], ' ') }
end
local page = redis.call('HSCAN', KEYS[3], ARGV[1], 'COUNT', ARGV[2])
local fields = {}
for i = 1, #page[2], 2 do
  fields[#fields + 1] = page[2][i]
end
return { 'ok', gate.epoch, gate.generation, page[1], table.concat(fields, ' ') }
