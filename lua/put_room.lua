-- Puts a room's settings; makes the room when there is none.
--
-- Atomic because: the settings and their version change together, and two origins that make the same room make one line.
--
-- KEYS[1] line: hash
-- KEYS[2] settings: string
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] settings: text
-- ARGV[3] life: a new random name, without spaces
--
-- Reply: {1, version of the settings}
-- Cost: O(1).
-- Agrees with: core::line::Line::new, core::line::Line::settings_changed

local line_key, settings_key = unpack(KEYS)
local now, settings, life = tonumber(ARGV[1]), ARGV[2], ARGV[3]

if redis.call('EXISTS', line_key) == 0 then
  save_new_line(line_key, new_line(math.floor(now / 1000), now), life)
end
redis.call('SET', settings_key, settings)
return { 1, redis.call('HINCRBY', line_key, 'settings', 1) }
