#!lua
-- What the scripts of a room share. Put in front of each of them when it is loaded; has no keys of its own and does nothing by itself.
--
-- The first line makes Redis check the whole script before it runs: out of memory, read-only or without replicas, nothing of it happens.
--
-- Numbers are whole and below 2^53, which Lua holds exactly; `int` writes them in full where they become part of a text.
-- Bitmaps: bit `slot - base - 1` stands for a slot. Bits beyond the end of a string read as 0. Bits of numbers that were never
-- handed out are 0 in every bitmap, or future joiners would be born gone.
--
-- Running time, as core::line::running: room time less the time in which nobody ticked the room (`given_back`). The ends of waves and
-- sessions are kept in it; scripts compare them with `line.running` and show them in room time.

-- The fields of core's Facts, in the order in which read_line replies them.
local FACTS = {
  'generation', 'base', 'issued', 'serving', 'waiting', 'ready', 'active', 'called_total', 'entered_total', 'missed_total',
  'left_total', 'epoch', 'epoch_at', 'level', 'level_at', 'refund', 'wave_at', 'rate', 'now', 'settled_at', 'given_back', 'mark_at',
  'born_at', 'version', 'bits', 'settings',
}
local STARTS = { 'starts0', 'starts1', 'starts2', 'starts3', 'starts4' }
local EPOCHS_PER_TTL = 4
local SEEN_RING = 5
local STRETCH_MS = 10000
local STRETCHES = 32
local OUTAGE_MS = 3000

local function int(number)
  return string.format('%.0f', number)
end

-- The named fields of the line, or nil when there is no such room. `generation`, `version` and the times that `advance` needs are always
-- among them. A line of before there was `given_back` has none, which is 0.
local function load_line(key, names)
  local values = redis.call('HMGET', key, 'generation', 'version', 'now', 'settled_at', 'given_back', unpack(names))
  if not values[1] then return nil end
  local line = {
    generation = tonumber(values[1]), version = tonumber(values[2]), now = tonumber(values[3]), settled_at = tonumber(values[4]),
    given_back = tonumber(values[5] or 0),
  }
  for i, name in ipairs(names) do line[name] = tonumber(values[i + 5]) end
  return line
end

-- Writes the named fields of the line, and its time.
local function save_line(key, line, names)
  local fields = { 'now', line.now }
  if line.was_away then
    fields = { 'now', line.now, 'settled_at', line.settled_at, 'given_back', line.given_back, 'version', line.version }
  end
  for _, name in ipairs(names) do
    fields[#fields + 1] = name
    fields[#fields + 1] = line[name]
  end
  redis.call('HSET', key, unpack(fields))
end

-- The numbers of an empty line, as Line::new.
local function new_line(generation, now)
  local line = {}
  for _, name in ipairs(FACTS) do line[name] = 0 end
  for _, name in ipairs(STARTS) do line[name] = 0 end
  line.generation, line.version, line.bits = generation, 1, 1
  line.now, line.born_at, line.epoch_at, line.settled_at = now, now, now, now
  return line
end

-- Writes all of a line. `life` names this life of it: idempotency records of another life do not count.
local function save_new_line(key, line, life)
  save_line(key, line, FACTS)
  save_line(key, line, STARTS)
  redis.call('HSET', key, 'life', life)
end

-- Lets room time pass, as Line::advance: never backwards, and a time in which nobody ticked is given back.
local function advance(line, now)
  line.now = math.max(line.now, tonumber(now))
  local passed = line.now - line.settled_at
  if passed > OUTAGE_MS then
    line.was_away = true
    line.given_back = line.given_back + passed
    line.settled_at = line.now
    line.version = line.version + 1
  end
  line.running = line.now - line.given_back
end

-- Live slots in (from, to].
local function live_between(gone_key, base, from, to)
  if to <= from then return 0 end
  return to - from - redis.call('BITCOUNT', gone_key, from - base, to - base - 1, 'BIT')
end

-- Cuts a bitmap to its first `bits` bits.
local function cut_bits(key, bits)
  local bytes = math.ceil(bits / 8)
  local length = redis.call('STRLEN', key)
  if bytes == 0 then
    redis.call('UNLINK', key)
  elseif length > bytes then
    redis.call('SET', key, redis.call('GETRANGE', key, 0, bytes - 1))
  end
  if length >= bytes then
    for at = bits, bytes * 8 - 1 do redis.call('SETBIT', key, at, 0) end
  end
end

-- Sets the first `bits` bits to 0.
local function clear_head(key, bits)
  local length = redis.call('STRLEN', key)
  local bytes = math.min(math.floor(bits / 8), length)
  if bytes > 0 then redis.call('SETRANGE', key, 0, string.rep('\0', bytes)) end
  if bytes < length then
    for at = bytes * 8, bits - 1 do redis.call('SETBIT', key, at, 0) end
  end
end

-- Sets the bits from, from + 1 … to - 1 to 1.
local function fill_bits(key, from, to)
  local first = math.min(to, math.ceil(from / 8) * 8)
  local last = math.max(first, math.floor(to / 8) * 8)
  for at = from, first - 1 do redis.call('SETBIT', key, at, 1) end
  if last > first then redis.call('SETRANGE', key, first / 8, string.rep('\255', (last - first) / 8)) end
  for at = last, to - 1 do redis.call('SETBIT', key, at, 1) end
end

-- Turns the first `bits` bits over and drops all others.
local function invert_bits(key, bits)
  cut_bits(key, bits)
  local bytes = math.ceil(bits / 8)
  if bytes == 0 then return end
  if redis.call('STRLEN', key) < bytes then redis.call('SETRANGE', key, bytes - 1, '\0') end
  redis.call('BITOP', 'NOT', key, key)
  cut_bits(key, bits)
end

-- Adds to what happened in the stretch of the window that `now` falls into.
local function add_to_window(key, now, what)
  local stretch = math.floor(now / STRETCH_MS)
  local calls, entries, losses, busy, waited = 0, 0, 0, 0, 0
  local held = redis.call('HGET', key, stretch % STRETCHES)
  if held then
    local numbers = {}
    for number in string.gmatch(held, '%d+') do numbers[#numbers + 1] = tonumber(number) end
    if numbers[1] == stretch then calls, entries, losses, busy, waited = unpack(numbers, 2) end
  end
  local flow = {
    int(stretch), int(calls + (what.calls or 0)), int(entries + (what.entries or 0)), int(losses + (what.losses or 0)),
    int(busy + (what.busy or 0)), int(waited + (what.waited or 0)),
  }
  redis.call('HSET', key, stretch % STRETCHES, table.concat(flow, ' '))
end

-- A wave as stored: from:last:called_at:until:called, its end in running time. The rest of what is known of it, how many claimed, is
-- counted in `claims`.
local function wave_text(from, last, called_at, closes_at, called)
  return table.concat({ int(from), int(last), int(called_at), int(closes_at), int(called) }, ':')
end

local function parse_wave(text)
  local from, last, called_at, closes_at, called = string.match(text, '^(%d+):(%d+):(%d+):(%d+):(%d+)$')
  return {
    text = text, from = tonumber(from), last = tonumber(last), called_at = tonumber(called_at), closes_at = tonumber(closes_at),
    called = tonumber(called),
  }
end

-- The wave that holds a slot, or nil.
local function wave_of(waves_key, slot)
  local text = redis.call('ZRANGE', waves_key, slot, '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1]
  if not text then return nil end
  local wave = parse_wave(text)
  if wave.from > slot then return nil end
  return wave
end

-- Where a slot stands, as core::line::standing; for a ready one, its wave as well.
local function standing(line, gone_key, left_key, waves_key, slot)
  if slot == 0 or slot > line.issued then return 'unknown' end
  if slot <= line.base then return 'missed' end
  local gone = redis.call('GETBIT', gone_key, slot - line.base - 1) == 1
  local left = redis.call('GETBIT', left_key, slot - line.base - 1) == 1
  if gone and left then return 'left' end
  if slot > line.serving then return gone and 'silent' or 'waiting' end
  if gone then return 'passed over' end
  if left then return 'entered' end
  local wave = wave_of(waves_key, slot)
  if wave and wave.closes_at > line.running then return 'ready', wave end
  return 'missed'
end

-- Counts a ready slot as claimed.
local function claim(line, claims_key, wave)
  redis.call('HINCRBY', claims_key, wave.last, 1)
  line.ready = line.ready - 1
end

-- A session as stored, sorted by slot: slot:entered_at:ends_at:pass_at, its end in running time. `active` holds the slots sorted by end,
-- written with leading zeros so that ties sort by slot.
local function find_session(sessions_key, slot)
  local text = redis.call('ZRANGE', sessions_key, slot, slot, 'BYSCORE')[1]
  if not text then return nil end
  local entered_at, ends_at, pass_at = string.match(text, '^%d+:(%d+):(%d+):(%d+)$')
  return { entered_at = tonumber(entered_at), ends_at = tonumber(ends_at), pass_at = tonumber(pass_at) }
end

local function put_session(sessions_key, active_key, slot, session)
  local text = table.concat({ int(slot), int(session.entered_at), int(session.ends_at), int(session.pass_at) }, ':')
  redis.call('ZREMRANGEBYSCORE', sessions_key, slot, slot)
  redis.call('ZADD', sessions_key, slot, text)
  redis.call('ZADD', active_key, session.ends_at, string.format('%016.0f', slot))
end

-- Removes the session of a slot, as Line::end_session; whether it was open.
local function drop_session(line, sessions_key, active_key, slot)
  local session = find_session(sessions_key, slot)
  if session then
    redis.call('ZREMRANGEBYSCORE', sessions_key, slot, slot)
    redis.call('ZREM', active_key, string.format('%016.0f', slot))
  end
  line.active = redis.call('ZCARD', active_key)
  return session ~= nil and session.ends_at > line.running
end

