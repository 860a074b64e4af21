-- annotate.lua: write a field of a running task's hash.
-- KEYS[1]  asynq:{q}:lease
-- KEYS[2]  asynq:{q}:t:<id>
-- ARGV     id, token, field, value
-- Returns  1 written, -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
local code = standing(KEYS[1], KEYS[2], ARGV[1], ARGV[2], '', false)
if code == 1 then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
end
return code
