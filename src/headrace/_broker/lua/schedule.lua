-- schedule.lua: write new tasks of one queue that become pending later.
-- KEYS[1]  asynq:{q}:scheduled
-- KEYS[2]  asynq:{q}:pending
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then id, msg, lock key or "", lock's seconds, process_at or "", process_in
--          or "", group or "": seven a task
-- Returns  one reply a task: 1 pending (it was due already), the Unix second for which it is
--          scheduled, or a refusal of lib/admit.lua
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
local scheduled, pending, prefix, is_repeat = KEYS[1], KEYS[2], ARGV[3], ARGV[2] == '1'
redis.call('ZCARD', scheduled)
redis.call('LLEN', pending)
local now = now_or(ARGV[1])

local replies, seen, admitted = {}, nothing_seen(), {}
for i = 4, #ARGV, 7 do
  local id = ARGV[i]
  local refused = refusal(prefix .. id, id, ARGV[i + 1], ARGV[i + 2], is_repeat, seen)
  if refused and refused[1] == 'repeated' then
    refused = tonumber(redis.call('ZSCORE', scheduled, id)) or refused
  end
  replies[#replies + 1] = refused or 1
  if not refused then
    admitted[#admitted + 1] = {i, #replies}
  end
end

for _, item in ipairs(admitted) do
  local i, reply = item[1], item[2]
  local id, msg, lock_key, ttl, group = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 6]
  -- Rounded up, so that nothing runs early; Go's tools read whole seconds only.
  local at = math.ceil(tonumber(ARGV[i + 4]) or now + tonumber(ARGV[i + 5]))
  if at <= now and group == '' then
    write_task(prefix .. id, msg, 'pending', lock_key, 'pending_since', nanoseconds(now))
    redis.call('LPUSH', pending, id)
  else
    if group == '' then
      write_task(prefix .. id, msg, 'scheduled', lock_key)
    else
      write_task(prefix .. id, msg, 'scheduled', lock_key, 'group', group)
    end
    redis.call('ZADD', scheduled, at, id)
    replies[reply] = at
  end
  if lock_key ~= '' then
    take_lock(lock_key, id, math.ceil(math.max(0, at - now) + tonumber(ttl)))
  end
end
return replies
