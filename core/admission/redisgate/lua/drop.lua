-- drop: removes what an attempt had loaded that gave up (rule 24).
--
-- KEYS[1]  load_members: private, as all of them: named by the attempt's epoch and token
-- KEYS[2]  load_calls: private
-- KEYS[3+] load_holders: private
--
-- OUTPUT     'ok'
-- ATOMICITY  the keys are nobody else's
-- REPLAY     safe: gone is gone
-- COST       one command; the memory is freed beside Redis' one thread
-- CRASH      what is left runs out with its TTL

redis.call('UNLINK', unpack(KEYS))
return { 'ok' }
