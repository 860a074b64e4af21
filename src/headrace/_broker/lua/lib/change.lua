-- What becomes of a task that a person took out of its container, one function an action. Its
-- entry there was removed before, so that these pass when Redis is out of memory.
-- `queue` has the keys pending and archived; `held` is the task's state and unique_key.
local change = {}

function change.run(queue, now, key, id, held)
  redis.call('HSET', key, 'state', 'pending', 'pending_since', nanoseconds(now))
  if held[2] then  -- It may come from the msg alone; see lib/lock_in.lua.
    redis.call('HSET', key, 'unique_key', held[2])
  end
  -- A person wants it tried again, however often it took its worker down.
  redis.call('HDEL', key, 'hr:crashes')
  redis.call('LPUSH', queue.pending, id)
end

function change.archive(queue, now, key, id, held)
  redis.call('HSET', key, 'state', 'archived')
  redis.call('HDEL', key, 'pending_since')
  redis.call('ZADD', queue.archived, math.floor(now), id)
  free_lock(held[2], id)
end

function change.delete(queue, now, key, id, held)
  redis.call('UNLINK', key)
  free_lock(held[2], id)
end
