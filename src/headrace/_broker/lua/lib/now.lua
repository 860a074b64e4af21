-- now(override): Unix seconds. A test may override it; everybody else gets Redis's own time,
-- so that no client's clock decides anything.
local function now_or(override)
  if override ~= '' then
    return tonumber(override)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Unix nanoseconds as decimal text; microseconds are exact in a double, nanoseconds are not.
local function nanoseconds(now)
  return string.format('%.0f', now * 1000000) .. '000'
end

-- Seconds with their fraction, which Redis would cut off a number in a reply.
local function precise(seconds)
  return string.format('%.6f', seconds)
end
