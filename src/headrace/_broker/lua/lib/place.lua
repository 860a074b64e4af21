-- Write a task that was admitted where it belongs: scheduled if it is due later, else into its
-- group if it has one, else pending. `queue` has the keys pending, scheduled and groups and the
-- prefixes tasks and group. `at` and `delay` are '' where they are not given.
-- Returns 1, or the Unix second for which it is scheduled.
local function place(queue, now, id, msg, lock_key, ttl, at, delay, group)
  local task_key, due = queue.tasks .. id, 0
  if at ~= '' or delay ~= '' then
    -- Rounded up, so that nothing runs early; Go's tools read whole seconds only.
    due = math.ceil(tonumber(at) or now + tonumber(delay))
  end
  take_lock(lock_key, id, math.ceil(math.max(0, due - now) + (tonumber(ttl) or 0)))
  if due > now then
    if group == '' then
      write_task(task_key, msg, 'scheduled', lock_key)
    else
      write_task(task_key, msg, 'scheduled', lock_key, 'group', group)
    end
    redis.call('ZADD', queue.scheduled, due, id)
    return due
  end
  if group == '' then
    write_task(task_key, msg, 'pending', lock_key, 'pending_since', nanoseconds(now))
    redis.call('LPUSH', queue.pending, id)
  else
    write_task(task_key, msg, 'aggregating', lock_key, 'group', group)
    redis.call('ZADD', queue.group .. group, math.floor(now), id)
    redis.call('SADD', queue.groups, group)
  end
  return 1
end
