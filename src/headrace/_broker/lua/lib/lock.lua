-- Free a uniqueness lock if this task holds it.
local function free_lock(lock_key, id)
  if lock_key and lock_key ~= '' and redis.pcall('GET', lock_key) == id then
    redis.call('DEL', lock_key)
  end
end
