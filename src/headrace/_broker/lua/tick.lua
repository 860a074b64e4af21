-- tick.lua: write the task of a scheduler's entry, once for each tick, whoever comes first.
-- KEYS[1]  headrace:{q}:tick:<entry id>  string: Unix time of the last tick that was dealt with
-- KEYS[2]  asynq:{q}:scheduled
-- KEYS[3]  asynq:{q}:pending
-- KEYS[4]  asynq:{q}:groups
-- ARGV     now or "", the tick's Unix time, seconds that the marker is kept, prefix of the
--          tasks' keys, prefix of the groups' keys, then the task: id, msg, lock key or "",
--          lock's seconds, process_at or "", process_in or "", group or ""
-- Returns  0 if this tick, or a later one, was dealt with already; else 1 if it was written, the
--          Unix second for which it is scheduled, or a refusal of lib/admit.lua, which deals
--          with the tick too: no other scheduler has to be refused again
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
--@include place
local tick, id = tonumber(ARGV[2]), ARGV[6]
local last = redis.call('GET', KEYS[1])
if last and tonumber(last) and tonumber(last) >= tick then
  return 0
end
local queue = {
  scheduled = KEYS[2], pending = KEYS[3], groups = KEYS[4], tasks = ARGV[4], group = ARGV[5],
}
redis.call('ZCARD', queue.scheduled)
redis.call('LLEN', queue.pending)
redis.call('SCARD', queue.groups)
if ARGV[12] ~= '' then
  redis.call('ZCARD', queue.group .. ARGV[12])
end
local reply = refusal(queue.tasks .. id, id, ARGV[7], ARGV[8], false, nothing_seen())
if not reply then
  reply = place(queue, now_or(ARGV[1]), id, ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11],
    ARGV[12])
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return reply
