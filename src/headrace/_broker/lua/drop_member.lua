-- drop_member.lua: take tasks that cannot be aggregated out of an aggregation set.
-- KEYS[1]  asynq:{q}:g:<group>:<set id>
-- KEYS[2]  asynq:{q}:archived
-- ARGV     now or "", prefix of the tasks' keys, then the IDs
-- Returns  how many went into the archive, their bytes kept; those without a hash are dropped
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
redis.call('ZCARD', KEYS[1])
redis.call('ZCARD', KEYS[2])
local now, archived = math.floor(now_or(ARGV[1])), 0
for i = 3, #ARGV do
  local id = ARGV[i]
  local state = redis.pcall('HGET', ARGV[2] .. id, 'state')
  redis.call('ZREM', KEYS[1], id)
  if state == 'aggregating' then
    redis.call('HSET', ARGV[2] .. id, 'state', 'archived')
    redis.call('ZADD', KEYS[2], now, id)
    archived = archived + 1
  end
end
return archived
