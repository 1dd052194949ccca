-- open: opens a marked gate with everything that was loaded for it (rule 25; for a new tag rule 29).
--
-- KEYS[1]    gate
-- KEYS[2]    members
-- KEYS[3]    load_members: private
-- KEYS[4]    load_calls: private
-- KEYS[5+4i] coupon
-- KEYS[6+4i] holders
-- KEYS[7+4i] pending
-- KEYS[8+4i] load_holders: private
-- ARGV[1]    epoch int: with the token, the attempt
-- ARGV[2]    token text
-- ARGV[3]    wait us: at least so long after the mark
-- ARGV[4]    event flag: 1 when the tag is an event's
-- ARGV[5]    members int: loaded members; 0 when the tag is no event's
-- ARGV[6+9i] state text
-- ARGV[7+9i] opens us
-- ARGV[8+9i] closes us
-- ARGV[9+9i] cap cap: empty is unlimited
-- ARGV[10+9i] revision int: the change whose terms these are
-- ARGV[11+9i] limit int: places a user may have
-- ARGV[12+9i] holders int: loaded, those given back included
-- ARGV[13+9i] returned int: how many of them were given back
-- ARGV[14+9i] last_seq int: greatest number of them
--
-- OUTPUT     'ok'; 'too_early', us that are left to wait; 'overtaken', a word on what was not as it must be
-- ATOMICITY  all counts are read before the first write
-- REPLAY     safe: open already under this attempt's token is 'ok', and nothing is written
-- COST       6 to 9 commands a coupon. RENAME over a big key frees it in the foreground (278 ms for a million fields),
--            so the old one is unlinked first
-- CRASH      nothing half done; before it the gate is shut, after it open

local g = ask('HMGET', KEYS[1], 'st', 'epoch', 'token', 'server', 'generation')
if not g or g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then
  return { 'overtaken', 'the gate is not of this attempt' }
end
if g[1] == 'open' then
  return { 'ok' }
end
if g[1] ~= 'mark' or g[4] ~= this_server() then
  return { 'overtaken', 'the mark was made on another server' }
end
local marked = int(string.match(g[3], '^%d+'))
if not marked then
  return { 'overtaken', 'the mark has no time' }
end
local left = marked + tonumber(ARGV[3]) - clock()
if left > 0 then
  return { 'too_early', left }
end

local event = ARGV[4] == '1'
local coupons = (#KEYS - 4) / 4
for i = 0, coupons - 1 do
  if ask('HLEN', KEYS[8 + 4 * i]) ~= tonumber(ARGV[12 + 9 * i]) then
    return { 'overtaken', 'holders were loaded that are not there' }
  end
end
if event and ask('SCARD', KEYS[3]) ~= tonumber(ARGV[5]) then
  return { 'overtaken', 'members were loaded that are not there' }
end

-- A hash or set of nothing is no key: there is nothing to rename where there are no holders.
local function replace(key, loaded, count)
  redis.call('UNLINK', key)
  if count > 0 then
    redis.call('RENAME', loaded, key)
    redis.call('PERSIST', key)
  end
end

for i = 0, coupons - 1 do
  local coupon, a = KEYS[5 + 4 * i], 6 + 9 * i
  local holders, returned = tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])
  replace(KEYS[6 + 4 * i], KEYS[8 + 4 * i], holders)
  redis.call('UNLINK', KEYS[7 + 4 * i], coupon)
  redis.call('HSET', coupon, 'state', ARGV[a], 'opens_us', ARGV[a + 1], 'closes_us', ARGV[a + 2], 'cap', ARGV[a + 3],
    'revision', ARGV[a + 4], 'per_user_limit', ARGV[a + 5], 'admitted', text(holders - returned),
    'returned', text(returned), 'pending_n', '0', 'last_seq', ARGV[a + 8])
end
local members = 0
if event then
  members = tonumber(ARGV[5])
  replace(KEYS[2], KEYS[3], members)
end
redis.call('UNLINK', KEYS[4])
redis.call('HSET', KEYS[1], 'st', 'open', 'generation', text((int(g[5]) or 0) + 1), 'members_n', text(members),
  'coupons_n', text(coupons))
return { 'ok' }
