-- KEYS[1]: a hash {count, until}; ARGV: now (ms), after, lock for (ms). Returns for how long it is locked, or -1.
local now, after, lock_for = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local till = tonumber(redis.call('HGET', KEYS[1], 'until') or 0)
local locked = redis.call('HGET', KEYS[1], 'locked')
if till <= now then
  redis.call('DEL', KEYS[1])
elseif locked then
  return till - now
end
local count = redis.call('HINCRBY', KEYS[1], 'count', 1)
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + lock_for))
redis.call('PEXPIRE', KEYS[1], lock_for)
if count < after then
  return -1
end
redis.call('HSET', KEYS[1], 'locked', '1')
return lock_for
