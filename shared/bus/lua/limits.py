"""The limits of API keys, in Lua: one script for each check, so that they apply across frontends.

A bucket holds what one minute allows and refills evenly. Only one number is stored for each: the time at which it will
be full again. (This form of the token bucket is the generic cell rate algorithm, ITU-T I.371, in its virtual scheduling
version.) The time is Redis' own. Unused keys expire.
"""

from redis.asyncio import Redis

from shared.bus.lua.names import NOW
from shared.bus.lua.slots import NOTE
from shared.bus.scripts import Script

WINDOW_MS = 60_000
"""Limits apply to a minute."""

# KEYS: bucket. ARGV: cost (ms in which the bucket regains it), window ms, 1 to take it even if it is not available
# → ms until it would have been available, 0 if it was
TAKE = (
    NOW
    + """
local cost, window, forced = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + cost
local wait = math.max(0, math.ceil(full - now - window))
if wait == 0 or forced then
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.max(1, math.ceil(full - now)))
end
return wait
"""
)

# KEYS: sessions, audio bucket. ARGV: session id, most sessions ('' for any number), lease ms, window ms
# → 0, -1 if there are as many as allowed, or ms until the audio that was taken in advance has been regained
ENTER = (
    NOW
    + """
local id, most, lease, window = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local debt = math.ceil(tonumber(redis.call('GET', KEYS[2]) or 0) - now - window)
if debt > 0 then return debt end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if most ~= '' and redis.call('ZCARD', KEYS[1]) >= tonumber(most) and not redis.call('ZSCORE', KEYS[1], id) then
  return -1
end
redis.call('ZADD', KEYS[1], now + lease, id)
redis.call('PEXPIRE', KEYS[1], lease)
return 0
"""
)

# KEYS: client tokens. ARGV: digest, life ms, most tokens
# → 0, or ms until one expires if there are as many as allowed
ISSUE = (
    NOW
    + """
local digest, life, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= most then
  return math.ceil(tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])) - now
end
redis.call('ZADD', KEYS[1], now + life, digest)
redis.call('PEXPIREAT', KEYS[1], redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
return 0
"""
)

# KEYS: sessions. ARGV: lease ms, session ids
RENEW = (
    NOW
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
)


class LimitScripts:
    """The scripts, registered on one client."""

    def __init__(self, redis: Redis) -> None:
        self.take = Script(redis, TAKE)
        self.enter = Script(redis, ENTER)
        self.renew = Script(redis, RENEW)
        self.issue = Script(redis, ISSUE)
        self.note = Script(redis, NOTE)
