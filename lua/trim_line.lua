-- Forgets the slots up to a new base.
--
-- Atomic because: seven bitmaps and the base that they are relative to move together.
--
-- KEYS[1] line: hash
-- KEYS[2] gone: bitmap
-- KEYS[3] left: bitmap
-- KEYS[4] seen:0: bitmap
-- KEYS[5] seen:1: bitmap
-- KEYS[6] seen:2: bitmap
-- KEYS[7] seen:3: bitmap
-- KEYS[8] seen:4: bitmap
-- KEYS[9] waves: sorted set
--
-- ARGV[1] base: a multiple of 64
--
-- Reply: {0} = no such room. {1} = moved. {2} = not a multiple of 64, not forward, or beyond the cursor or an open wave; nothing was done
-- Cost: O(line / 64).
-- Agrees with: core::line::Line::trim

local line_key, waves_key = KEYS[1], KEYS[9]
local base = tonumber(ARGV[1])

local line = load_line(line_key, { 'base', 'serving', 'bits' })
if not line then return { 0 } end
local floor = line.serving
local oldest = redis.call('ZRANGE', waves_key, 0, 0)[1]
if oldest then floor = parse_wave(oldest).from - 1 end
if base % 64 ~= 0 or base <= line.base or base > floor then return { 2 } end

for i = 2, 8 do
  local rest = redis.call('GETRANGE', KEYS[i], (base - line.base) / 8, -1)
  if #rest > 0 then redis.call('SET', KEYS[i], rest) else redis.call('UNLINK', KEYS[i]) end
end
line.base = base
line.version = line.version + 1
line.bits = line.bits + 1
save_line(line_key, line, { 'base', 'version', 'bits' })
return { 1 }
