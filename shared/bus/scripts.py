"""The atomic writes, in Lua. Time is Redis' own, so that clocks of other machines do not matter.

A session's `fence` grows with each owner. Every write of an owner names the fence that it was given; once
another worker has claimed the session, all writes of the former owner are refused.
"""

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

_NOW = "local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000); "

FENCED = -1
"""What every script of an owner answers when another worker has claimed the session."""

# KEYS: admitted, session, audio. ARGV: session id, capacity, claim ms, ttl s, options, resume digest. → 1 or 0
# The audio stream is made here and only here: a late write cannot bring it back when the session has ended.
# The set of the admitted lives as long as the last of its members: nothing is left of a model that is gone.
ADMIT = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
redis.call('HSET', KEYS[2], 'state', 'waiting', 'options', ARGV[5], 'resume', ARGV[6], 'fence', 0, 'seq', 0,
  'checkpoint', 0, 'segment', 0, 'owner', '', 'lease', 0, 'created', now)
redis.call('XADD', KEYS[3], '0-1', 'c', 'attach')
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
"""
)

# KEYS: session. ARGV: worker id, lease ms, ttl s. → the hash after the claim, or nil when it is not to be had
CLAIM = (
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'state', 'lease')
if held[1] ~= 'waiting' and held[1] ~= 'live' then return nil end
if held[1] == 'live' and tonumber(held[2]) > now then return nil end
redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'state', 'live', 'owner', ARGV[1], 'lease', now + tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('HGETALL', KEYS[1])
"""
)

# KEYS: session, audio, events, finals. ARGV: fence, lease ms, ttl s. → 1 or -1
RENEW = (
    _NOW
    + """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'lease', now + tonumber(ARGV[2]))
if redis.call('TTL', KEYS[1]) < ARGV[3] / 2 or redis.call('TTL', KEYS[3]) < 0 then
  for i = 1, 4 do redis.call('EXPIRE', KEYS[i], ARGV[3]) end
end
return 1
"""
)

# KEYS: session, events, finals, audio. ARGV: fence, channel, log length, first seq, checkpoint or '', segment,
# then kind ('f' final, 'e' any other) and payload of each event. → events written, or -1
WRITE = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return -1 end
local last, written = tonumber(redis.call('HGET', KEYS[1], 'seq')), 0
local seq = tonumber(ARGV[4])
for i = 7, #ARGV, 2 do
  if seq > last then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], seq .. '-0', 'e', ARGV[i + 1])
    if ARGV[i] == 'f' then redis.call('RPUSH', KEYS[3], ARGV[i + 1]) end
    redis.call('PUBLISH', ARGV[2], ARGV[i + 1])
    last, written = seq, written + 1
  end
  seq = seq + 1
end
redis.call('HSET', KEYS[1], 'seq', last)
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'checkpoint', ARGV[5], 'segment', ARGV[6])
  redis.call('XTRIM', KEYS[4], 'MINID', ARGV[5] .. '-0')
end
return written
"""

# KEYS: session, audio. ARGV: fence, channel, consumed samples, checkpoint samples. → 1 or -1
PROGRESS = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'consumed', ARGV[3], 'checkpoint', ARGV[4])
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4] .. '-0')
redis.call('PUBLISH', ARGV[2], '{"type":"progress","consumed":' .. ARGV[3] .. '}')
return 1
"""

# KEYS: session, audio, events, finals. ARGV: fence, retention s, state. → 1 or -1
END = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'owner', '', 'lease', 0)
redis.call('DEL', KEYS[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[2])
redis.call('EXPIRE', KEYS[4], ARGV[2])
return 1
"""

# KEYS: session, audio, events, finals. No ARGV. → the owner to be told, or ''
ABANDON = """
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner or owner == '' then redis.call('DEL', unpack(KEYS)); return '' end
redis.call('HSET', KEYS[1], 'state', 'cancelled')
return owner
"""

# KEYS: index, heartbeat. ARGV: process id, ttl ms, report
BEAT = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', KEYS[2], 'report', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
)

# KEYS: admitted. ARGV: lease ms, then session ids.
KEEP_ADMITTED = (
    _NOW
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
"""
)


class Scripts:
    """All scripts, registered on one client; each is sent by its hash and loaded when Redis does not know it."""

    def __init__(self, redis: Redis) -> None:
        self.admit: AsyncScript = redis.register_script(ADMIT)
        self.claim: AsyncScript = redis.register_script(CLAIM)
        self.renew: AsyncScript = redis.register_script(RENEW)
        self.write: AsyncScript = redis.register_script(WRITE)
        self.progress: AsyncScript = redis.register_script(PROGRESS)
        self.end: AsyncScript = redis.register_script(END)
        self.abandon: AsyncScript = redis.register_script(ABANDON)
        self.beat: AsyncScript = redis.register_script(BEAT)
        self.keep_admitted: AsyncScript = redis.register_script(KEEP_ADMITTED)
