-- requeue.lua: give tasks of one queue back, to its front; nothing is counted against them.
-- KEYS[1]  asynq:{q}:active
-- KEYS[2]  asynq:{q}:lease
-- KEYS[3]  asynq:{q}:pending
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then id, token: two a task
-- Returns  one integer a task: 1 requeued, 0 an earlier try did it, -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
local active, lease, pending, prefix = KEYS[1], KEYS[2], KEYS[3], ARGV[3]
local is_repeat = ARGV[2] == '1'
redis.call('LLEN', active)
redis.call('LLEN', pending)

local replies, ids = judge(lease, prefix, 4, 2, 'pending', is_repeat)

local since = nanoseconds(now_or(ARGV[1]))
release(active, lease, ids)
-- From the last to the first: the first one comes to the very front.
for n = #ids, 1, -1 do
  local id = ids[n]
  redis.call('HSET', prefix .. id, 'state', 'pending', 'pending_since', since)
  redis.call('RPUSH', pending, id)
end
return replies
