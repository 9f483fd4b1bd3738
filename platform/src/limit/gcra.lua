-- KEYS[1]; ARGV: now, interval, burst (all µs). Returns {1, remaining} or {0, retry after in ms}.
-- Numbers of Lua are doubles: exact up to 2^53 µs, the year 2255. memory.rs says the same.
local now, interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local next = arrival + interval
local over = next - now - burst
if over > 0 then
  return {0, math.ceil(over / 1000)}
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000))
return {1, math.floor(-over / interval)}
