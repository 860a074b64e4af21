-- schedule.lua: write new tasks of one queue that are due later.
-- KEYS[1]  asynq:{q}:scheduled
-- KEYS[2]  asynq:{q}:pending
-- KEYS[3]  asynq:{q}:groups
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, prefix of the groups' keys, then id, msg, lock key or "", lock's seconds,
--          process_at or "", process_in or "", group or "": seven a task
-- Returns  one reply a task: the Unix second for which it is scheduled, 1 if it was due already
--          and is pending or in its group, or a refusal of lib/admit.lua
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
--@include place
local is_repeat = ARGV[2] == '1'
local queue = {
  scheduled = KEYS[1], pending = KEYS[2], groups = KEYS[3], tasks = ARGV[3], group = ARGV[4],
}
redis.call('ZCARD', queue.scheduled)
redis.call('LLEN', queue.pending)
redis.call('SCARD', queue.groups)
local now = now_or(ARGV[1])

local replies, seen, admitted = {}, nothing_seen(), {}
for i = 5, #ARGV, 7 do
  local id, group = ARGV[i], ARGV[i + 6]
  if group ~= '' then
    redis.call('ZCARD', queue.group .. group)
  end
  local refused =
    refusal(queue.tasks .. id, id, ARGV[i + 1], ARGV[i + 2], is_repeat, seen)
  if refused and refused[1] == 'repeated' then
    refused = tonumber(redis.call('ZSCORE', queue.scheduled, id)) or refused
  end
  replies[#replies + 1] = refused or 1
  if not refused then
    admitted[#admitted + 1] = {i, #replies}
  end
end

for _, item in ipairs(admitted) do
  local i, reply = item[1], item[2]
  replies[reply] = place(queue, now, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3],
    ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
end
return replies
