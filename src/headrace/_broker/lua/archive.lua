-- archive.lua: give tasks of one queue up; a person may look at them.
-- KEYS[1]  asynq:{q}:active
-- KEYS[2]  asynq:{q}:lease
-- KEYS[3]  asynq:{q}:processed
-- KEYS[4]  asynq:{q}:failed
-- KEYS[5]  asynq:{q}:archived
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then id, token, lock key or "", msg: four a task
-- Returns  one integer a task: 1 archived, 0 an earlier try did it, -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was. The archive's
-- bounds are trim_archive.lua's duty.
--@include now
--@include lease
--@include lock
--@include count
local active, lease, archived, prefix = KEYS[1], KEYS[2], KEYS[5], ARGV[3]
local is_repeat = ARGV[2] == '1'
redis.call('LLEN', active)
redis.call('ZCARD', archived)
local now = now_or(ARGV[1])

local replies, ids, held = judge(lease, prefix, 4, 4, 'archived', is_repeat)

release(active, lease, ids)
for n, i in ipairs(held) do
  local id = ids[n]
  redis.call('HSET', prefix .. id, 'msg', ARGV[i + 3], 'state', 'archived')
  redis.call('ZADD', archived, math.floor(now), id)
  free_lock(ARGV[i + 2], id)
end
count(KEYS[3], now, #held)
count(KEYS[4], now, #held)
return replies
