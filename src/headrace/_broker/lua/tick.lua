-- tick.lua: write the task of a scheduler's entry, once for each tick, whoever comes first.
-- KEYS[1]  headrace:{q}:tick:<entry id>  string: Unix time of the last tick that was dealt with,
--          a space, and who dealt with it
-- KEYS[2]  asynq:{q}:scheduled
-- KEYS[3]  asynq:{q}:pending
-- KEYS[4]  asynq:{q}:groups
-- ARGV     now or "", what the caller knows KEYS[1] to hold, or "" for nothing, what to write
--          there, seconds that it is kept, prefix of the tasks' keys, prefix of the groups'
--          keys, then the task: id, msg, lock key or "", lock's seconds, process_at or "",
--          process_in or "", group or ""
-- Returns  Redis's time and what KEYS[1] holds now, or "" for nothing; then, if this call dealt
--          with the tick, 1 if the task is written, the Unix second for which it is scheduled,
--          or a refusal of lib/admit.lua. A refused tick is dealt with too: no other scheduler
--          has to be refused again. Without a third part nothing was written, because somebody
--          else was first, or Redis's clock has not come to the tick yet
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include admit
--@include place
local now, id = now_or(ARGV[1]), ARGV[7]
local last = redis.call('GET', KEYS[1]) or ''
if last ~= ARGV[2] or now < tonumber(string.match(ARGV[3], '^%d+')) then
  return {precise(now), last}
end
local queue = {
  scheduled = KEYS[2], pending = KEYS[3], groups = KEYS[4], tasks = ARGV[5], group = ARGV[6],
}
redis.call('ZCARD', queue.scheduled)
redis.call('LLEN', queue.pending)
redis.call('SCARD', queue.groups)
if ARGV[13] ~= '' then
  redis.call('ZCARD', queue.group .. ARGV[13])
end
local reply = refusal(queue.tasks .. id, id, ARGV[8], ARGV[9], false, nothing_seen())
if not reply then
  reply = place(queue, now, id, ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13])
end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
return {precise(now), ARGV[3], reply}
