local function nothing_seen()
  return {ids = {}, locks = {}}
end

-- Whether a task may be written. Writes nothing. `seen` is nothing_seen() at first, and
-- holds what this call admitted so far, or did when it was first tried.
-- Returns nil if it may, or the reply for its caller:
--   {'repeated', state}     an earlier try of this very call wrote it
--   {'conflict', state}     the queue holds a task with this ID
--   {'duplicate', holder}   another task holds the lock
--   {'error', text}         a key has a foreign type
local function refusal(task_key, id, msg, lock_key, is_repeat, seen)
  if seen.ids[id] then
    return {'conflict', 'enqueued by the same call'}
  end
  local held = redis.pcall('HMGET', task_key, 'msg', 'state')
  if held.err then
    return {'error', held.err}
  end
  if held[1] or held[2] then
    if is_repeat and held[1] == msg then
      seen.ids[id] = true
      return {'repeated', held[2] or 'pending'}
    end
    return {'conflict', held[2] or 'unknown state'}
  end
  if lock_key ~= '' then
    local holder = seen.locks[lock_key] or redis.pcall('GET', lock_key)
    if type(holder) == 'table' then
      return {'error', holder.err}
    end
    if holder and holder ~= id then
      return {'duplicate', holder}
    end
    seen.locks[lock_key] = id
  end
  seen.ids[id] = true
  return nil
end

local function take_lock(lock_key, id, ttl)
  if lock_key ~= '' then
    redis.call('SET', lock_key, id, 'EX', ttl)
  end
end

-- The fields that every new task's hash has; `unique_key` only where it has a lock.
local function write_task(task_key, msg, state, lock_key, ...)
  if lock_key == '' then
    redis.call('HSET', task_key, 'msg', msg, 'state', state, ...)
  else
    redis.call('HSET', task_key, 'msg', msg, 'state', state, 'unique_key', lock_key, ...)
  end
end
