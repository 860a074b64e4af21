-- first_tick.lua: find how far a scheduler's entry has come; a new one begins now.
-- KEYS[1]  headrace:{q}:tick:<entry id>  string: see tick.lua
-- ARGV     now or "", seconds that it is kept if it is new
-- Returns  Redis's time, and what KEYS[1] holds
--@include now
local now = now_or(ARGV[1])
local last = redis.call('GET', KEYS[1])
if not last or not string.match(last, '^%d+ ') then
  last = string.format('%.0f -', math.floor(now))
  redis.call('SET', KEYS[1], last, 'EX', ARGV[2])
end
return {precise(now), last}
