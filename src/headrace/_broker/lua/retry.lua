-- retry.lua: put tasks of one queue off to a later attempt.
-- KEYS[1]  asynq:{q}:active
-- KEYS[2]  asynq:{q}:lease
-- KEYS[3]  asynq:{q}:processed
-- KEYS[4]  asynq:{q}:failed
-- KEYS[5]  asynq:{q}:retry
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then id, token, msg, delay in seconds, "1" if it counts as a failure: five a
--          task
-- Returns  one integer a task: 1 put off, 0 an earlier try did it, -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
--@include count
local active, lease, retry, prefix = KEYS[1], KEYS[2], KEYS[5], ARGV[3]
local is_repeat = ARGV[2] == '1'
redis.call('LLEN', active)
redis.call('ZCARD', retry)
local now = now_or(ARGV[1])

local replies, ids, held = judge(lease, prefix, 4, 5, 'retry', is_repeat)

release(active, lease, ids)
local failures = 0
for n, i in ipairs(held) do
  local id = ids[n]
  redis.call('HSET', prefix .. id, 'msg', ARGV[i + 2], 'state', 'retry')
  redis.call('ZADD', retry, math.ceil(now + tonumber(ARGV[i + 3])), id)
  failures = failures + tonumber(ARGV[i + 4])
end
count(KEYS[3], now, failures)
count(KEYS[4], now, failures)
return replies
