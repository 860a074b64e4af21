-- memory_usage.lua: estimate how much memory one container takes, with its tasks.
-- KEYS[1]  the container: a list or a sorted set
-- ARGV     prefix of the tasks' keys, how many tasks to look at
-- Returns  bytes
-- Writes nothing.
local is_list = redis.call('TYPE', KEYS[1]).ok == 'list'
local last = tonumber(ARGV[2]) - 1
local ids = redis.call(is_list and 'LRANGE' or 'ZRANGE', KEYS[1], 0, last)
local sampled = 0
for _, id in ipairs(ids) do
  sampled = sampled + (redis.call('MEMORY', 'USAGE', ARGV[1] .. id) or 0)
end
local total = redis.call('MEMORY', 'USAGE', KEYS[1]) or 0
if #ids > 0 then
  local size = redis.call(is_list and 'LLEN' or 'ZCARD', KEYS[1])
  total = total + sampled / #ids * size
end
return math.floor(total)
