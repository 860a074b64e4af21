-- aggregate.lua: write the task that stands for an aggregation set, and delete the set.
-- KEYS[1]  asynq:{q}:g:<group>:<set id>
-- KEYS[2]  asynq:{q}:aggregation_sets
-- KEYS[3]  asynq:{q}:pending
-- KEYS[4]  asynq:{q}:scheduled
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then the new task: id, msg, lock key or "", lock's seconds, process_at or "",
--          process_in or ""
-- Returns  1 pending, the Unix second for which it is scheduled, 0 if the set was taken back
--          into its group, or a refusal of lib/admit.lua
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
--@include lock
local set_key, prefix = KEYS[1], ARGV[3]
local id, msg, lock_key, ttl = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
redis.call('LLEN', KEYS[3])
redis.call('ZCARD', KEYS[4])
local refused = refusal(prefix .. id, id, msg, lock_key, ARGV[2] == '1',
  nothing_seen())
if refused then
  return refused
end
if not redis.call('ZSCORE', KEYS[2], set_key) then
  return 0
end
local members, locks, keys = redis.call('ZRANGE', set_key, 0, -1), {}, {}
for n, member in ipairs(members) do
  keys[n] = prefix .. member
  locks[n] = redis.pcall('HGET', keys[n], 'unique_key')
end
local now = now_or(ARGV[1])
local at = tonumber(ARGV[8]) or (ARGV[9] ~= '' and now + tonumber(ARGV[9])) or 0
at = math.ceil(at)

local reply = 1
if at > now then
  write_task(prefix .. id, msg, 'scheduled', lock_key)
  redis.call('ZADD', KEYS[4], at, id)
  reply = at
else
  write_task(prefix .. id, msg, 'pending', lock_key, 'pending_since', nanoseconds(now))
  redis.call('LPUSH', KEYS[3], id)
end
take_lock(lock_key, id, math.ceil(math.max(0, at - now) + (tonumber(ttl) or 0)))
for n, member in ipairs(members) do
  if type(locks[n]) == 'string' then
    free_lock(locks[n], member)
  end
  redis.call('UNLINK', keys[n])
end
redis.call('DEL', set_key)
redis.call('ZREM', KEYS[2], set_key)
return reply
