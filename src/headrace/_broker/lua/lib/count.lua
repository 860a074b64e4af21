-- The UTC day of a Unix time as YYYY-MM-DD. Redis's Lua has no os.date.
-- Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
local function utc_day(now)
  local z = math.floor(now / 86400) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
    - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, day)
end

-- Add n to a total and to its day's count. A total that would pass 2^63-1 starts again; so does
-- one that is not a number, since a count is not worth losing a transition for.
local function count(total_key, now, n)
  if n == 0 then
    return
  end
  local day_key = total_key .. ':' .. utc_day(now)
  if redis.pcall('INCRBY', day_key, n) == n then
    redis.call('EXPIRE', day_key, 7776000)
  end
  local total = redis.pcall('INCRBY', total_key, n)
  if type(total) == 'table' then
    redis.call('SET', total_key, n)
  end
end
