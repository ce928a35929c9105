-- Starts the next generation of a room: an empty line.
--
-- Atomic because: everything of the old generation goes at once, or its tickets would count in the new one.
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
-- KEYS[10] claims: hash
-- KEYS[11] active: sorted set
-- KEYS[12] sessions: sorted set
-- KEYS[13] joins: stream
-- KEYS[14] window: hash
-- KEYS[15] users: hash
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] life: a new random name, without spaces
--
-- Reply: {0} = no such room. {1, generation}
-- Cost: O(1), the memory is freed in the background.
-- Agrees with: core::line::Line::reset

local line_key = KEYS[1]
local life = ARGV[2]

local line = load_line(line_key, { 'bits', 'settings' })
if not line then return { 0 } end
advance(line, ARGV[1])
local fresh = new_line(math.max(math.floor(line.now / 1000), line.generation + 1), line.now)
fresh.version = line.version + 1
fresh.bits = line.bits + 1
fresh.settings = line.settings
redis.call('UNLINK', unpack(KEYS, 2))
save_new_line(line_key, fresh, life)
return { 1, fresh.generation }
