-- delete_queue.lua: delete what is left of a queue that holds no tasks.
-- KEYS[1]  asynq:{q}:pending
-- KEYS[2]  asynq:{q}:active
-- KEYS[3…] its other containers, then what holds no tasks: pauses, counts and the like
-- ARGV     how many of the keys from KEYS[3] on are containers
-- Returns  how many tasks it holds; at 0, it was deleted
-- Checks everything before it writes; an error leaves the key space as it was.
local size = redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2])
for i = 3, 2 + tonumber(ARGV[1]) do
  local kind = redis.call('TYPE', KEYS[i]).ok
  size = size + (kind == 'set' and redis.call('SCARD', KEYS[i])
    or kind == 'zset' and redis.call('ZCARD', KEYS[i]) or 0)
end
if size == 0 then
  redis.call('UNLINK', unpack(KEYS))
end
return size
