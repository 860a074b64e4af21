-- enqueue.lua: write new tasks of one queue and make them pending.
-- KEYS[1]  asynq:{q}:pending
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then id, msg, lock key or "", lock's seconds: four a task
-- Returns  one reply a task: 1 written, or a refusal of lib/admit.lua
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
local pending, prefix, is_repeat = KEYS[1], ARGV[3], ARGV[2] == '1'
redis.call('LLEN', pending)
local now = now_or(ARGV[1])

local replies, seen, admitted = {}, nothing_seen(), {}
for i = 4, #ARGV, 4 do
  local id = ARGV[i]
  local refused = refusal(prefix .. id, id, ARGV[i + 1], ARGV[i + 2], is_repeat, seen)
  replies[#replies + 1] = refused or 1
  if not refused then
    admitted[#admitted + 1] = i
  end
end

local since, ids = nanoseconds(now), {}
for n, i in ipairs(admitted) do
  local id, lock_key = ARGV[i], ARGV[i + 2]
  write_task(prefix .. id, ARGV[i + 1], 'pending', lock_key, 'pending_since', since)
  take_lock(lock_key, id, ARGV[i + 3])
  ids[n] = id
end
if #ids > 0 then
  redis.call('LPUSH', pending, unpack(ids))
end
return replies
