-- What a queue's limits allow. `max_active` counts what lies in the active list, whoever runs it.
-- `rate_tasks` in `rate_seconds` counts what was started: a list holds the starts that are still
-- inside the window, oldest first, each entry being "first last count". Starts less than a
-- hundredth of the window apart share an entry, which leaves the window with the last of them:
-- so the list stays short, and in no span of the window's length do more than `rate_tasks` start.
local function positive(text)
  local number = tonumber(text)
  return number and number > 0 and number < 1e15 and number or nil
end

-- Returns nil if the queue has no limits, else a table for the functions below.
local function limits_of(limits_key, starts_key, now)
  local set = redis.call('HMGET', limits_key, 'max_active', 'rate_tasks', 'rate_seconds')
  if not set[1] and not set[2] then
    return nil
  end
  local limits = {most = positive(set[1]), key = starts_key, now = now}
  local tasks, window = positive(set[2]), positive(set[3])
  if tasks and window then
    limits.tasks, limits.window, limits.used, limits.left = tasks, window, 0, 0
    for _, entry in ipairs(redis.call('LRANGE', starts_key, 0, -1)) do
      local first, last, count = entry:match('^(%S+) (%S+) (%S+)$')
      first, last, count = tonumber(first), tonumber(last), tonumber(count)
      -- What lies in the future was written before the clock was put back.
      if count and now - last < window and last - now <= window then
        limits.used = limits.used + count
        limits.oldest = limits.oldest or last
        limits.newest = {first = first, last = last, count = count}
      elseif not limits.oldest then
        limits.left = limits.left + 1
      end
    end
  end
  return limits
end

-- How many more tasks may start now, `active` running already.
local function allowed(limits, active)
  local number = limits.most and limits.most - active or math.huge
  if limits.tasks then
    number = math.min(number, limits.tasks - limits.used)
  end
  return math.max(number, 0)
end

-- When it is worth asking again: seconds; 'inf' if only the end of a task changes anything.
local function retry_in(limits, active, started)
  if limits.most and active + started >= limits.most then
    return 'inf'
  end
  if limits.tasks and limits.used + started >= limits.tasks then
    local oldest = limits.oldest or limits.now
    return string.format('%.6f', math.max(oldest + limits.window - limits.now, 0))
  end
  return '0'
end

-- Counts what has just been started.
local function record_starts(limits, started)
  if not limits.tasks or started == 0 then
    return
  end
  local key, now, newest = limits.key, limits.now, limits.newest
  if newest and now - newest.first < limits.window / 100 then
    redis.call('LSET', key, -1, string.format('%.6f %.6f %.0f', newest.first,
      math.max(newest.last, now), newest.count + started))
  else
    redis.call('RPUSH', key, string.format('%.6f %.6f %.0f', now, now, started))
  end
  if limits.left > 0 then
    redis.call('LTRIM', key, limits.left, -1)
  end
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(limits.window * 1000) + 1000))
end
