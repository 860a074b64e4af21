-- aggregate.lua: write the task that stands for an aggregation set, and delete the set.
-- KEYS[1]  asynq:{q}:g:<group>:<set id>
-- KEYS[2]  asynq:{q}:aggregation_sets
-- KEYS[3]  asynq:{q}:pending
-- KEYS[4]  asynq:{q}:scheduled
-- ARGV     now or "", "1" if this repeats a call whose answer was lost, prefix of the tasks'
--          keys, then the new task: id, msg, lock key or "", lock's seconds, process_at or "",
--          process_in or "", then the members' locks: id, lock key, two a member that has one
-- Returns  1 pending, the Unix second for which it is scheduled, 0 if the set is past its
--          deadline or gone, or a refusal of lib/admit.lua
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
--@include place
--@include lock
local set_key, prefix = KEYS[1], ARGV[3]
local id, msg, lock_key = ARGV[4], ARGV[5], ARGV[6]
redis.call('LLEN', KEYS[3])
redis.call('ZCARD', KEYS[4])
local told = {}  -- asynq's client names a group's locks in the messages alone.
for i = 10, #ARGV, 2 do
  told[ARGV[i]] = ARGV[i + 1]
end
local members, locks, keys, seen = redis.call('ZRANGE', set_key, 0, -1), {}, {}, nothing_seen()
for n, member in ipairs(members) do
  keys[n] = prefix .. member
  locks[n] = redis.pcall('HGET', keys[n], 'unique_key') or told[member]
  if lock_key ~= '' and locks[n] == lock_key and redis.pcall('GET', lock_key) == member then
    seen.locks[lock_key] = id  -- It goes over from the member to the new task.
  end
end
local refused = refusal(prefix .. id, id, msg, lock_key, ARGV[2] == '1', seen)
if refused then
  return refused
end
local now, deadline = now_or(ARGV[1]), redis.call('ZSCORE', KEYS[2], set_key)
-- After the deadline some of its tasks may be back in their group already.
if not deadline or tonumber(deadline) <= now then
  return 0
end

redis.call('ZREM', KEYS[2], set_key)  -- First: it is allowed when Redis is out of memory.
local queue = {pending = KEYS[3], scheduled = KEYS[4], tasks = prefix}
local reply = place(queue, now, id, msg, lock_key, ARGV[7], ARGV[8], ARGV[9], '')
for n, member in ipairs(members) do
  if type(locks[n]) == 'string' then
    free_lock(locks[n], member)
  end
  redis.call('UNLINK', keys[n])
end
redis.call('DEL', set_key)
return reply
