-- Drops who has not been heard from for the heartbeat time; turns the epoch first when told which one is running.
--
-- Atomic because: any number of origins turn the same epoch and it must turn once; and no heartbeat may be merged between the
-- turn and the count.
--
-- KEYS[1] line: hash
-- KEYS[2] gone: bitmap
-- KEYS[3] left: bitmap
-- KEYS[4] seen:0: bitmap
-- KEYS[5] seen:1: bitmap
-- KEYS[6] seen:2: bitmap
-- KEYS[7] seen:3: bitmap
-- KEYS[8] seen:4: bitmap
-- KEYS[9] window: hash
-- KEYS[10] work:0: bitmap, exists only while this script runs
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] epoch: the epoch to turn, or '' = sweep within the running one
--
-- Reply: {0} = no such room. {1, how many stopped counting}. {2} = another epoch is running, nothing was done
-- Cost: O(line / 64): a handful of BITOPs, no loop over people.
-- Agrees with: core::line::Line::turn_epoch, core::line::Line::sweep

local line_key, gone_key, left_key, window_key, work_key = KEYS[1], KEYS[2], KEYS[3], KEYS[9], KEYS[10]
local turn = tonumber(ARGV[2])

local function seen_key(epoch)
  return KEYS[4 + epoch % SEEN_RING]
end

local line = load_line(line_key, { 'base', 'issued', 'serving', 'waiting', 'epoch', 'epoch_at', 'bits', unpack(STARTS) })
if not line then return { 0 } end
advance(line, ARGV[1])
if turn and turn ~= line.epoch then
  save_line(line_key, line, {})
  return { 2 }
end

-- Who joined before the oldest of the epochs that count began has had all of them to be heard in. In the first epochs of a line that
-- is nobody, except the numbers that a restored line has skipped: those stay gone.
local oldest
if turn then
  line.epoch = line.epoch + 1
  line.epoch_at = line.now
  redis.call('UNLINK', seen_key(line.epoch))
  local start = STARTS[line.epoch % SEEN_RING + 1]
  line[start] = line.issued
  save_line(line_key, line, { 'epoch', 'epoch_at', start })
  oldest = line.epoch - EPOCHS_PER_TTL
else
  oldest = line.epoch + 1 - EPOCHS_PER_TTL
end
local old = line[STARTS[math.max(0, oldest) % SEEN_RING + 1]]

-- Silent: handed out up to `old`, in none of the bitmaps that count.
local heard = {}
for epoch = oldest, line.epoch do
  heard[#heard + 1] = seen_key(epoch)
end
redis.call('BITOP', 'OR', work_key, unpack(heard))
invert_bits(work_key, math.max(0, old - line.base))

-- gone = left OR silent beyond the cursor, as it was behind it.
redis.call('BITOP', 'OR', work_key, work_key, left_key)
local behind = line.serving - line.base
local whole = math.floor(behind / 8)
if whole > 0 then
  local head = redis.call('GETRANGE', gone_key, 0, whole - 1)
  redis.call('SETRANGE', work_key, 0, head .. string.rep('\0', whole - #head))
end
for at = whole * 8, behind - 1 do
  redis.call('SETBIT', work_key, at, redis.call('GETBIT', gone_key, at))
end
redis.call('UNLINK', gone_key)
if redis.call('EXISTS', work_key) == 1 then redis.call('RENAME', work_key, gone_key) end

local before = line.waiting
line.waiting = live_between(gone_key, line.base, line.serving, line.issued)
line.version = line.version + 1
line.bits = line.bits + 1
local dropped = math.max(0, before - line.waiting)
add_to_window(window_key, line.now, { losses = dropped })
save_line(line_key, line, { 'waiting', 'version', 'bits' })
return { 1, dropped }
