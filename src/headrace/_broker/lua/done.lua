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
redis.call('ZCARD', lease)

local replies, held = {}, {}
for i = 4, #ARGV, 3 do
  local id = ARGV[i]
  local code = standing(lease, prefix .. id, id, ARGV[i + 1], '', is_repeat)
  replies[#replies + 1] = code
  if code == 1 then
    held[#held + 1] = i
  end
end

for _, i in ipairs(held) do
  local id = ARGV[i]
  release(active, lease, id)
  redis.call('DEL', prefix .. id)
  free_lock(ARGV[i + 2], id)
end
count(KEYS[3], now_or(ARGV[1]), #held)
return replies
