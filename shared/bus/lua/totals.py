"""Adds the increments of one process to the totals of the service, exactly once, in Lua."""

from shared.bus.lua.names import named

# KEYS: totals, the process's last batch. ARGV: number of the batch, life of that number ms, life of the totals s,
# epoch, then fields and increments
# → 1, or 0 if the batch has been added before: its reply was lost
# The epoch is set with the first batch: if it changes, Redis has lost everything, and counters start again at zero.
ADD = named(
    """
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('HSETNX', KEYS[1], '$epoch_field', ARGV[4])
for i = 5, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
)
