-- done.lua: finish tasks of one queue and delete them.
-- KEYS[1]  asynq:{q}:active
-- KEYS[2]  asynq:{q}:lease
-- KEYS[3]  asynq:{q}:processed
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then id, token, lock key or "": three a task
-- Returns  one integer a task: 1 done, 0 an earlier try did it, -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
--@include lock
--@include count
local active, lease, prefix, is_repeat = KEYS[1], KEYS[2], ARGV[3], ARGV[2] == '1'
redis.call('LLEN', active)

local replies, ids, held = judge(lease, prefix, 4, 3, '', is_repeat)

release(active, lease, ids)
local task_keys = {}
for n, id in ipairs(ids) do
  task_keys[n] = prefix .. id
  free_lock(ARGV[held[n] + 2], id)
end
if #ids > 0 then
  redis.call('DEL', unpack(task_keys))
end
count(KEYS[3], now_or(ARGV[1]), #held)
return replies
