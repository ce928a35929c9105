-- Merges heartbeats into the running epoch and gives the silent who were heard from their places back.
--
-- Atomic because: who waits again is judged by the cursor; called in between, somebody would be both passed over and waiting.
--
-- KEYS[1] line: hash
-- KEYS[2] gone: bitmap
-- KEYS[3] left: bitmap
-- KEYS[4] seen:0: bitmap
-- KEYS[5] seen:1: bitmap
-- KEYS[6] seen:2: bitmap
-- KEYS[7] seen:3: bitmap
-- KEYS[8] seen:4: bitmap
-- KEYS[9] work:0: bitmap, exists only while this script runs
-- KEYS[10] work:1: bitmap, exists only while this script runs
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] generation: of the tokens that were shown
-- ARGV[3] base: what the bits are relative to, a multiple of 64
-- ARGV[4] bits: bitmap
--
-- Reply: {0} = no such room. {1, how many wait again}
-- Cost: O(bits / 64).
-- Agrees with: core::line::Line::hear

local line_key, gone_key, left_key, bits_key, back_key = KEYS[1], KEYS[2], KEYS[3], KEYS[9], KEYS[10]
local generation, base, bits = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local line = load_line(line_key, { 'base', 'issued', 'serving', 'waiting', 'epoch', 'bits' })
if not line then return { 0 } end
advance(line, ARGV[1])
save_line(line_key, line, {})
if generation ~= line.generation or base > line.base then return { 1, 0 } end

bits = string.sub(bits, (line.base - base) / 8 + 1)
if #bits == 0 then return { 1, 0 } end
redis.call('SET', bits_key, bits)
cut_bits(bits_key, line.issued - line.base)
local seen_key = KEYS[4 + line.epoch % SEEN_RING]
redis.call('BITOP', 'OR', seen_key, seen_key, bits_key)

-- Back: heard, gone, beyond the cursor, not left.
redis.call('BITOP', 'AND', bits_key, bits_key, gone_key)
clear_head(bits_key, line.serving - line.base)
local back = 0
if redis.call('BITCOUNT', bits_key) > 0 then
  redis.call('BITOP', 'AND', back_key, bits_key, left_key)
  redis.call('BITOP', 'XOR', back_key, bits_key, back_key)
  back = redis.call('BITCOUNT', back_key)
end
if back > 0 then
  redis.call('BITOP', 'XOR', gone_key, gone_key, back_key)
  line.waiting = line.waiting + back
  line.bits = line.bits + 1
  save_line(line_key, line, { 'waiting', 'bits' })
end
redis.call('UNLINK', bits_key, back_key)
return { 1, back }
