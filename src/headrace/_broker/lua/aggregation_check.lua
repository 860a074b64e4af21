-- aggregation_check.lua: take a ripe group's oldest tasks into an aggregation set.
-- KEYS[1]  asynq:{q}:g:<group>
-- KEYS[2]  asynq:{q}:groups
-- KEYS[3]  asynq:{q}:aggregation_sets
-- KEYS[4]  asynq:{q}:g:<group>:<set id>
-- ARGV     now or "", group, size at which it is ripe (0: none), age of its oldest at which it
--          is ripe (0: none), age of its newest at which it is ripe, seconds until the set's
--          deadline, how many at the most, prefix of the tasks' keys
-- Returns  {} if the group is not ripe, else {deadline, {id, msg, id, msg, …}}; msg is "" where
--          no task is behind an ID
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
local group_key, set_key = KEYS[1], KEYS[4]
redis.call('SCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
if redis.call('EXISTS', set_key) == 1 then
  return {}  -- An earlier try of this call made it.
end
local now, max_size = now_or(ARGV[1]), tonumber(ARGV[3])
local max_delay, grace_period = tonumber(ARGV[4]), tonumber(ARGV[5])
local size = redis.call('ZCARD', group_key)
if size == 0 then
  redis.call('SREM', KEYS[2], ARGV[2])
  return {}
end

local oldest = tonumber(redis.call('ZRANGE', group_key, 0, 0, 'WITHSCORES')[2])
local newest = tonumber(redis.call('ZRANGE', group_key, -1, -1, 'WITHSCORES')[2])
local is_ripe = (max_size > 0 and size >= max_size)
  or (max_delay > 0 and now - oldest >= max_delay)
  or now - newest >= grace_period
if not is_ripe then
  return {}
end

local limit = tonumber(ARGV[7])
if max_size > 0 and max_size < limit then
  limit = max_size
end
local members, tasks = redis.call('ZRANGE', group_key, 0, limit - 1), {}
for _, id in ipairs(members) do
  local msg = redis.pcall('HGET', ARGV[8] .. id, 'msg')
  tasks[#tasks + 1] = id
  tasks[#tasks + 1] = type(msg) == 'string' and msg or ''
end
local deadline = math.floor(now) + tonumber(ARGV[6])
redis.call('ZREM', group_key, '')  -- Removes nothing, but opens the way if memory is full.
redis.call('ZRANGESTORE', set_key, group_key, 0, limit - 1)
redis.call('ZREMRANGEBYRANK', group_key, 0, limit - 1)
redis.call('ZADD', KEYS[3], deadline, set_key)
if size <= limit then
  redis.call('SREM', KEYS[2], ARGV[2])
end
return {deadline, tasks}
