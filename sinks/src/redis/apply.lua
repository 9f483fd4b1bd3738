-- Applies one change of one closed batch, if it is newer than what the key holds: writing a batch again, or an older
-- one, changes nothing. ARGV[1] says what to do, ARGV[2] is the batch's T (UTC ms; below 2^53, so a Lua number is exact).
-- The last key is always the hash `progress`. Its field `floor` is the T of a state that this database was given whole:
-- of keys that this state does not have no version is left, so nothing older than the floor is taken.

local what, t, progress = ARGV[1], tonumber(ARGV[2]), KEYS[#KEYS]
local is_change = what == 'state' or what == 'price' or what == 'board' or what == 'append' or what == 'publish'
if is_change and t < tonumber(redis.call('HGET', progress, 'floor') or '0') then return 0 end

local function version_of(packed)
  return packed and tonumber(string.match(packed, '^(%d+)')) or -1
end

-- KEYS: hash. ARGV: removed ('1' or '0'), field, value … A removed row leaves its version behind.
if what == 'state' then
  if version_of(redis.call('HGET', KEYS[1], 'version')) > t then return 0 end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'version', ARGV[2])
  if ARGV[3] == '1' then
    redis.call('HSET', KEYS[1], 'removed', '1')
  else
    redis.call('HSET', KEYS[1], unpack(ARGV, 4))
  end
  return 1
end

-- KEYS: price hash, starts (sorted set), bars (hash start → 'T␟field␟value␟…'). ARGV: start, bars kept, packed fields or ''.
-- The price is the newest bar that stands. Withdrawn bars stay as bare versions until newer bars push them out.
if what == 'price' then
  local start, limit, packed = ARGV[3], tonumber(ARGV[4]), ARGV[5]
  if version_of(redis.call('HGET', KEYS[3], start)) > t then return 0 end
  redis.call('HSET', KEYS[3], start, ARGV[2] .. packed)
  redis.call('ZADD', KEYS[2], start, start)
  local excess = redis.call('ZCARD', KEYS[2]) - limit
  if excess > 0 then
    -- A lowered limit is reached in steps: Lua cannot unpack thousands at once.
    local old = redis.call('ZRANGE', KEYS[2], 0, math.min(excess, 1000) - 1)
    redis.call('ZREM', KEYS[2], unpack(old))
    redis.call('HDEL', KEYS[3], unpack(old))
  end
  local rank = 0
  while true do
    local newest = redis.call('ZREVRANGE', KEYS[2], rank, rank)[1]
    redis.call('DEL', KEYS[1])
    if not newest then return 1 end
    local fields = {}
    for part in string.gmatch(redis.call('HGET', KEYS[3], newest), '[^\31]+') do
      fields[#fields + 1] = part
    end
    if #fields > 1 then
      redis.call('HSET', KEYS[1], 'version', unpack(fields))
      return 1
    end
    rank = rank + 1
  end
end

-- A board of current things with a date. KEYS: values (hash), dates, versions (sorted sets).
-- ARGV: id, date, retention in ms, value or '' for a withdrawal. What is past retention is not taken back.
if what == 'board' then
  local id, date, value = ARGV[3], tonumber(ARGV[4]), ARGV[6]
  local now = math.max(t, tonumber(redis.call('HGET', progress, 'boards') or '0'))
  if date < now - tonumber(ARGV[5]) then return 0 end
  if tonumber(redis.call('ZSCORE', KEYS[3], id) or '-1') > t then return 0 end
  redis.call('ZADD', KEYS[3], ARGV[2], id)
  redis.call('ZADD', KEYS[2], ARGV[4], id)
  if value == '' then
    redis.call('HDEL', KEYS[1], id)
  else
    redis.call('HSET', KEYS[1], id, value)
  end
  return 1
end

-- KEYS: as for 'board'. ARGV: retention in ms. Takes down what is past it.
if what == 'expire' then
  local now = math.max(t, tonumber(redis.call('HGET', progress, 'boards') or '0'))
  local horizon = '(' .. string.format('%.0f', now - tonumber(ARGV[3]))
  while true do
    local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', horizon, 'LIMIT', 0, 1000)
    if #old == 0 then return 1 end
    redis.call('HDEL', KEYS[1], unpack(old))
    redis.call('ZREM', KEYS[2], unpack(old))
    redis.call('ZREM', KEYS[3], unpack(old))
  end
end

-- KEYS: stream. ARGV: n within T, entries kept, field, value … The id T-n only ever grows, so Redis refuses repeats itself.
if what == 'append' then
  local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], ARGV[2] .. '-' .. ARGV[3], unpack(ARGV, 5))
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller', 1, true) then return 0 end
    return added
  end
  return 1
end

-- KEYS: published (hash channel → T). ARGV: channel, message.
if what == 'publish' then
  if version_of(redis.call('HGET', KEYS[1], ARGV[3])) >= t then return 0 end
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[2])
  redis.call('PUBLISH', ARGV[3], ARGV[4])
  return 1
end

-- ARGV: field.
if what == 'progress' then
  if version_of(redis.call('HGET', progress, ARGV[3])) < t then
    redis.call('HSET', progress, ARGV[3], ARGV[2])
  end
  return 1
end

-- Below: what is current is no more, until a state says so again. Versions stay.

-- KEYS: hash of a 'state'.
if what == 'forget state' then
  local version = redis.call('HGET', KEYS[1], 'version')
  if not version then return 0 end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'version', version, 'removed', '1')
  return 1
end

-- KEYS: price hash, bars.
if what == 'forget price' then
  redis.call('DEL', KEYS[1])
  for _, start in ipairs(redis.call('HKEYS', KEYS[2])) do
    redis.call('HSET', KEYS[2], start, string.match(redis.call('HGET', KEYS[2], start), '^%d+'))
  end
  return 1
end

-- KEYS: values of a board.
if what == 'forget board' then
  redis.call('DEL', KEYS[1])
  return 1
end

-- The state comes with the versions of its rows, which are older than its T.
if what == 'forget floor' then
  redis.call('HDEL', progress, 'floor')
  return 1
end

return redis.error_reply('ERR apply.lua does not know ' .. tostring(what))
