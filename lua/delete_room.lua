-- Removes a room and everything of it. Idempotency records run out by themselves; they belong to a life that is over.
--
-- Atomic because: a join in between would leave half a room behind.
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
-- KEYS[16] settings: string
--
-- Reply: {0} = no such room. {1} = removed
-- Cost: O(1), the memory is freed in the background.
-- Agrees with: nothing in core; the room's line is dropped

local existed = redis.call('EXISTS', KEYS[1])
redis.call('UNLINK', unpack(KEYS))
return { existed }
