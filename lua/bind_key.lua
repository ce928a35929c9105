-- Makes an idempotency key stand for a request, unless it stands for something already.
--
-- Atomic because: two requests at once must not both find the key free.
--
-- KEYS[1] bound:<key>: string
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] fingerprint: text
-- ARGV[3] ttl_ms: ms
--
-- Reply: {1} = new. {2} = the same. {3} = conflict
-- Cost: O(1).
-- Agrees with: nothing in core; the embedded store

local key = KEYS[1]
local now, fingerprint, ttl_ms = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
-- The record stands in the caller's time; Redis may forget it a little later, never sooner.
local FORGET_AFTER_MS = 10000

local record = redis.call('GET', key)
if record then
  local expires_at, asked = string.match(record, '^(%d+) (.*)$')
  if tonumber(expires_at) > now then return { asked == fingerprint and 2 or 3 } end
end
redis.call('SET', key, int(now + ttl_ms) .. ' ' .. fingerprint, 'PX', ttl_ms + FORGET_AFTER_MS)
return { 1 }
