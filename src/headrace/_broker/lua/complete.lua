-- complete.lua: finish tasks of one queue and keep them while their retention lasts.
-- KEYS[1]  asynq:{q}:active
-- KEYS[2]  asynq:{q}:lease
-- KEYS[3]  asynq:{q}:processed
-- KEYS[4]  asynq:{q}:completed
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then id, token, lock key or "", msg, retention in seconds, "1" if a result
--          follows, result: seven a task
-- Returns  one integer a task: 1 completed, 0 an earlier try did it, -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
--@include lock
--@include count
local active, lease, completed, prefix = KEYS[1], KEYS[2], KEYS[4], ARGV[3]
local is_repeat = ARGV[2] == '1'
redis.call('LLEN', active)
redis.call('ZCARD', completed)
local now = now_or(ARGV[1])

local replies, ids, held = judge(lease, prefix, 4, 7, 'completed', is_repeat)

release(active, lease, ids)
for n, i in ipairs(held) do
  local id = ids[n]
  redis.call('HSET', prefix .. id, 'msg', ARGV[i + 3], 'state', 'completed')
  if ARGV[i + 5] == '1' then
    redis.call('HSET', prefix .. id, 'result', ARGV[i + 6])
  end
  redis.call('ZADD', completed, math.ceil(now + tonumber(ARGV[i + 4])), id)
  free_lock(ARGV[i + 2], id)
end
count(KEYS[3], now, #held)
return replies
