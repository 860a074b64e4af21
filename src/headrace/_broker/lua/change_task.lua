-- change_task.lua: run, archive or delete one task, whatever container it is in.
-- KEYS[1]  asynq:{q}:t:<id>
-- KEYS[2]  asynq:{q}:pending
-- KEYS[3]  asynq:{q}:archived
-- KEYS[4]  asynq:{q}:groups
-- ARGV     now or "", "run", "archive" or "delete", id, prefix of the queue's keys, the states in
--          which the task may be, separated by commas, bytes to append to the msg of a task that
--          was completed and is run again
-- Returns  1 changed, 0 there is no such task, or its state if that does not allow it:
--          "being aggregated" if it is in an aggregation set
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lock
--@include lock_in
--@include change
local task_key, id, prefix = KEYS[1], ARGV[3], ARGV[4]
local queue = {pending = KEYS[2], archived = KEYS[3]}
local held = redis.call('HMGET', task_key, 'state', 'unique_key', 'group', 'msg')
local state, group = held[1], held[3] or ''
if state == 'aggregating' then
  held[2] = held[2] or lock_in(held[4] or '')
end
if not state and not held[4] then
  return 0
end
if not state or not string.find(',' .. ARGV[5] .. ',', ',' .. state .. ',', 1, true) then
  return state or 'in no state'
end
local group_key = prefix .. 'g:' .. group
if state == 'aggregating' and not redis.call('ZSCORE', group_key, id) then
  return 'being aggregated'
end
redis.call('LLEN', queue.pending)
redis.call('ZCARD', queue.archived)
redis.call('SCARD', KEYS[4])
if state ~= 'pending' and state ~= 'aggregating' then
  redis.call('ZCARD', prefix .. state)
end

if state == 'pending' then
  redis.call('LREM', queue.pending, -1, id)
elseif state == 'aggregating' then
  redis.call('ZREM', group_key, id)
  if redis.call('EXISTS', group_key) == 0 then
    redis.call('SREM', KEYS[4], group)
  end
else
  redis.call('ZREM', prefix .. state, id)
end
if state == 'completed' and ARGV[2] == 'run' then
  redis.call('HDEL', task_key, 'result')
  redis.call('HSET', task_key, 'msg', (held[4] or '') .. ARGV[6])
end
change[ARGV[2]](queue, now_or(ARGV[1]), task_key, id, held)
return 1
