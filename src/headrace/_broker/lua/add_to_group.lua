-- add_to_group.lua: write new tasks of one queue that wait in a group to be aggregated.
-- KEYS[1]  asynq:{q}:groups
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, prefix of the groups' keys, then id, msg, lock key or "", lock's seconds,
--          group: five a task
-- Returns  one reply a task: 1 written, or a refusal of lib/admit.lua
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
local groups, prefix, group_prefix, is_repeat = KEYS[1], ARGV[3], ARGV[4], ARGV[2] == '1'
redis.call('SCARD', groups)
local now = math.floor(now_or(ARGV[1]))

local replies, seen, admitted = {}, nothing_seen(), {}
for i = 5, #ARGV, 5 do
  local id = ARGV[i]
  redis.call('ZCARD', group_prefix .. ARGV[i + 4])
  local refused = refusal(prefix .. id, id, ARGV[i + 1], ARGV[i + 2], is_repeat, seen)
  replies[#replies + 1] = refused or 1
  if not refused then
    admitted[#admitted + 1] = i
  end
end

for _, i in ipairs(admitted) do
  local id, lock_key, group = ARGV[i], ARGV[i + 2], ARGV[i + 4]
  write_task(prefix .. id, ARGV[i + 1], 'aggregating', lock_key, 'group', group)
  take_lock(lock_key, id, ARGV[i + 3])
  redis.call('ZADD', group_prefix .. group, now, id)
  redis.call('SADD', groups, group)
end
return replies
