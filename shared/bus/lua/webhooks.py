"""The writes of webhooks, in Lua. Each script changes the keys of one session, or one sorted set of the service."""

from shared.bus.lua.names import NOW, named

# KEYS: a sorted set of names → when they are due. ARGV: for how long they are taken, ms; how many at most.
# → the names that are due. They are due again after that time, unless `POSTPONE` or a removal comes first: the
# process that has taken them may die.
TAKE = named(
    NOW
    + """
local taken = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, name in ipairs(taken) do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), name) end
return taken
"""
)

# KEYS: the same. ARGV: ttl s; ms from now on; names. An absent name is added only if the time is 0.
POSTPONE = named(
    NOW
    + """
local how = ARGV[2] == '0' and 'NX' or 'XX'
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], how, now + tonumber(ARGV[2]), ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""
)

# KEYS: webhook. ARGV: ttl s, most fields, '1' if the last event is stored in any case, then fields and values.
# → the fields that are stored: as many as there is room for, each with its attempts. None if there is no webhook: the
# session was erased. Those of a call that is repeated need no room.
STORE = named(
    """
if redis.call('HEXISTS', KEYS[1], '$webhook_target') == 0 then return {} end
redis.call('EXPIRE', KEYS[1], ARGV[1])
local room, stored = math.floor((tonumber(ARGV[2]) - redis.call('HLEN', KEYS[1])) / 2), {}
for i = 4, #ARGV, 2 do
  local is_there = redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1
  if not is_there then room = room - 1 end
  if is_there or room >= 0 or (i == #ARGV - 1 and ARGV[3] == '1') then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    stored[#stored + 1] = ARGV[i]
  end
end
return stored
"""
)

# KEYS: webhook. ARGV: how many finals were stored, whether the session has ended ('1' or '')
# → 1, or 0 if there is no webhook
ADVANCE = named(
    """
if redis.call('HEXISTS', KEYS[1], '$webhook_target') == 0 then return 0 end
redis.call('HSET', KEYS[1], '$webhook_finals', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], '$webhook_ended', 1) end
return 1
"""
)

# KEYS: webhook. ARGV: ttl s, field of an event, field of its attempts, their number.
# → 1, or 0 if the event is not there any more: it was erased, or another sender has delivered it
RECORD = named(
    """
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""
)

# KEYS: webhook. ARGV: fields of an event that is not sent again.
# → 1 if nothing is left to send, and the session has ended: the webhook is then deleted; 0 otherwise
SETTLE = named(
    """
redis.call('HDEL', KEYS[1], unpack(ARGV))
local rest = redis.call('HEXISTS', KEYS[1], '$webhook_target') + redis.call('HEXISTS', KEYS[1], '$webhook_finals') + 1
if redis.call('HEXISTS', KEYS[1], '$webhook_ended') == 0 or redis.call('HLEN', KEYS[1]) > rest then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""
)
