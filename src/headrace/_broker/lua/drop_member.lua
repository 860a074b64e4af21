-- drop_member.lua: take tasks that cannot be aggregated out of an aggregation set.
-- KEYS[1]  asynq:{q}:g:<group>:<set id>
-- KEYS[2]  asynq:{q}:aggregation_sets
-- KEYS[3]  asynq:{q}:archived
-- KEYS[4]  asynq:{q}:processed
-- KEYS[5]  asynq:{q}:failed
-- ARGV     now or "", prefix of the tasks' keys, then the IDs
-- Returns  how many went into the archive, their bytes kept; those without a hash are dropped
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lock
--@include count
local set_key, archive, prefix = KEYS[1], KEYS[3], ARGV[2]
redis.call('ZCARD', set_key)
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', archive)
local now, archived = now_or(ARGV[1]), 0
for i = 3, #ARGV do
  local id = ARGV[i]
  local held = redis.pcall('HMGET', prefix .. id, 'state', 'unique_key')
  redis.call('ZREM', set_key, id)
  if not held.err and held[1] == 'aggregating' then
    redis.call('HSET', prefix .. id, 'state', 'archived')
    redis.call('ZADD', archive, math.floor(now), id)
    free_lock(held[2], id)
    archived = archived + 1
  end
end
if redis.call('EXISTS', set_key) == 0 then
  redis.call('ZREM', KEYS[2], set_key)
end
count(KEYS[4], now, archived)
count(KEYS[5], now, archived)
return archived
