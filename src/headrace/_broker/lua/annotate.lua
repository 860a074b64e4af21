-- annotate.lua: write a field of a running task's hash.
-- KEYS[1]  asynq:{q}:lease
-- ARGV     prefix of the tasks' keys, id, token, field, value
-- Returns  1 written, -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was.
--@include lease
local id = ARGV[2]
local code = standings(KEYS[1], ARGV[1], {id}, {ARGV[3]}, '', false)[1]
if code == 1 then
  -- First, because it is allowed when Redis is out of memory, and opens the way for the rest.
  redis.call('HDEL', ARGV[1] .. id, ARGV[4])
  redis.call('HSET', ARGV[1] .. id, ARGV[4], ARGV[5])
end
return code
