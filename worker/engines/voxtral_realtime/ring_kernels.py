"""Attention of one pass over rings, as Triton kernels. Needs triton; see `ring_attention` for the launch.

`attend` has a program for each row, head of keys and part of the ring. It rotates the new queries and keys, writes the
new keys and values into the ring, and reads the entries of its part that the row has filled. The new entries are taken
from the input and never read from the ring, so programs do not wait for each other. `combine` merges the parts.

8-bit entries are e4m3 (see `fp8`). GPUs before Ada (8.9) have no instructions for the format; integer operations
convert it there.
"""

import triton
import triton.language as tl

NONE = tl.constexpr(-1.0e30)
"""The score of an invisible entry, and of a part without entries."""
LOG2_E = tl.constexpr(1.4426950408889634)
FRESH = tl.constexpr(16)
"""New positions of a pass, rounded up to the minimum size of a product of tiles."""


@triton.jit
def fp8_codes(values):
    """Codes of float32 values, `uint8`, rounded to nearest, ties to even, as in PyTorch."""
    size = tl.minimum(tl.abs(values), 448.0)
    bits = size.to(tl.int32, bitcast=True)
    normal = ((bits + 0x7FFFF + ((bits >> 20) & 1)) >> 20) - 960  # 960: the exponents' biases, (127 - 7) << 3
    small = (size + 16384.0).to(tl.int32, bitcast=True) - 0x46800000  # 2¹⁴ moves multiples of 2⁻⁹ to the last bits
    code = tl.where(size < 0.015625, small, normal)
    return tl.where(values < 0, code + 128, code).to(tl.uint8)


@triton.jit
def fp8_values(codes, dtype: tl.constexpr, native: tl.constexpr):
    """The values of codes. The bits of e4m3 inside those of float16 give 2⁻⁸ of the value.

    `native`: the GPU has instructions for the format, which take half the time or less.
    """
    if native:
        return codes.to(tl.float8e4nv, bitcast=True).to(tl.float16).to(dtype)
    wide = codes.to(tl.uint16)
    bits = ((wide & 0x80) << 8) | ((wide & 0x7F) << 7)
    return (bits.to(tl.float16, bitcast=True).to(tl.float32) * 256.0).to(dtype)


@triton.jit
def _rotated(source, at, cosines, sines, angle, mask, dim: tl.constexpr, dim_tile: tl.constexpr):
    """Vectors `[n, dim_tile]` that start at `source + at`, rotated by the angles that start at `angle`, in float32."""
    axis = tl.arange(0, dim_tile)[None, :]
    sign = tl.where(axis < dim // 2, -1.0, 1.0)
    partner = tl.where(axis < dim // 2, axis + dim // 2, axis - dim // 2)
    value = tl.load(source + at[:, None] + axis, mask=mask, other=0.0).to(tl.float32)
    other = tl.load(source + at[:, None] + partner, mask=mask, other=0.0).to(tl.float32)
    cosine = tl.load(cosines + angle[:, None] * dim + axis, mask=mask, other=0.0).to(tl.float32)
    sine = tl.load(sines + angle[:, None] * dim + axis, mask=mask, other=0.0).to(tl.float32)
    return (value * cosine + sign * other * sine).to(source.dtype.element_ty)


@triton.jit
def _stored(values, codes_at, scales_at, mask, live, is_fp8: tl.constexpr):
    """Write vectors, `[FRESH, dim]`, and return their stored form, with their scales."""
    if is_fp8:
        values = values.to(tl.float32)
        scale = (tl.max(tl.abs(values), axis=1) / 448.0).to(tl.bfloat16).to(tl.float32)
        scale = tl.maximum(scale, 7.888609052210118e-31)  # 2⁻¹⁰⁰
        codes = fp8_codes(values / scale[:, None])
        tl.store(codes_at, codes, mask=mask)
        tl.store(scales_at, scale.to(tl.bfloat16), mask=live)
        return codes, scale
    else:  # noqa: RET505 -- Triton treats both branches as one function
        held = values.to(codes_at.dtype.element_ty)
        tl.store(codes_at, held, mask=mask)
        return held, tl.full([FRESH], 1.0, tl.float32)


@triton.jit
def matrix_product(left, right, wide: tl.constexpr):
    """A matrix product, summed in float32. `wide`: the same numbers are also multiplied in float32."""
    if wide:
        left = left.to(tl.float32)
        right = right.to(tl.float32)
    return tl.dot(left, right, input_precision="ieee")


@triton.jit
def _absorb(
    total,
    peak,
    heard,
    query,
    keys,
    values,
    scales,  # of the keys and of the values
    seen,
    scaling,
    is_fp8: tl.constexpr,
    native: tl.constexpr,
    wide: tl.constexpr,
):
    """One step of the online softmax: `[tile]`, `[tile]` and `[tile, dim]` after some more entries."""
    if is_fp8:
        keys = fp8_values(keys, query.dtype, native)
        values = fp8_values(values, query.dtype, native)
    else:
        keys = keys.to(query.dtype)
        values = values.to(query.dtype)
    scores = matrix_product(query, tl.trans(keys), wide) * (scaling * LOG2_E)
    if is_fp8:
        scores = scores * scales[0][None, :]
    scores = tl.where(seen, scores, NONE)
    next_peak = tl.maximum(peak, tl.max(scores, axis=1))
    weights = tl.where(seen, tl.exp2(scores - next_peak[:, None]), 0.0)
    kept = tl.exp2(peak - next_peak)
    total = total * kept + tl.sum(weights, axis=1)
    if is_fp8:
        weights = weights * scales[1][None, :]
    heard = heard * kept[:, None] + matrix_product(weights.to(query.dtype), values, wide)
    return total, next_peak, heard


@triton.jit
def _attend_kept(
    query,  # [tile, dim_tile], rotated
    stored,  # keys, values, and the scales of both
    place,  # row, head, number of heads, part, number of parts, positions of the first and the last new entry
    step,  # [tile], the new position of each query
    scaling,
    queries: tl.constexpr,
    window: tl.constexpr,
    length: tl.constexpr,
    dim: tl.constexpr,
    block: tl.constexpr,
    is_fp8: tl.constexpr,
    native: tl.constexpr,
    wide: tl.constexpr,
):
    """Attend to a part's share of the entries that the row had filled before this pass."""
    tile: tl.constexpr = query.shape[0]
    keys, values, key_scales, value_scales = stored
    row, head, heads, part, parts, _, last = place
    ring = (row * heads + head) * length  # index of the first entry of the row's head
    axis = tl.arange(0, query.shape[1])[None, :]
    newest = (last % length).to(tl.int32)
    filled = tl.minimum(last + 1, length).to(tl.int32)
    span = tl.cdiv(tl.cdiv(filled, parts), block) * block
    peak = tl.full([tile], NONE, tl.float32)
    total = tl.zeros([tile], tl.float32)
    heard = tl.zeros([tile, query.shape[1]], tl.float32)
    for start in range(part * span, tl.minimum((part + 1) * span, filled), block):
        index = start + tl.arange(0, block)
        age = tl.where(index <= newest, newest - index, newest - index + length)  # positions before the last
        known = (index < filled) & (age >= queries) & (age < window + queries - 1)
        entries = known[:, None] & (axis < dim)
        at = (ring + index)[:, None] * dim + axis
        old_keys = tl.load(keys + at, mask=entries, other=0)
        old_values = tl.load(values + at, mask=entries, other=0)
        key_scale = tl.full([block], 1.0, tl.float32)
        value_scale = key_scale
        if is_fp8:
            key_scale = tl.load(key_scales + ring + index, mask=known, other=0.0).to(tl.float32)
            value_scale = tl.load(value_scales + ring + index, mask=known, other=0.0).to(tl.float32)
        seen = known[None, :] & (age[None, :] < (window + queries - 1 - step)[:, None])
        scales = (key_scale, value_scale)
        total, peak, heard = _absorb(
            total, peak, heard, query, old_keys, old_values, scales, seen, scaling, is_fp8, native, wide
        )
    return total, peak, heard


@triton.jit
def _attend_new(
    state,  # total, peak and heard, after the entries from before
    query,
    new,  # new keys and values, and the cosines and sines of their angles
    strides,  # of the rows and steps of new keys, then of new values
    stored,
    place,  # see `_attend_kept`
    step,
    scaling,
    queries: tl.constexpr,
    window: tl.constexpr,
    length: tl.constexpr,
    dim: tl.constexpr,
    is_fp8: tl.constexpr,
    native: tl.constexpr,
    wide: tl.constexpr,
):
    """Rotate the new keys, write them and the new values into the ring, and attend to them."""
    total, peak, heard = state
    key_in, value_in, cosines, sines = new
    key_row, key_step, value_row, value_step = strides
    keys, values, key_scales, value_scales = stored
    row, head, heads, _, _, first, _ = place
    dim_tile: tl.constexpr = query.shape[1]
    axis = tl.arange(0, dim_tile)
    fresh = tl.arange(0, FRESH)
    mask = (fresh < queries)[:, None] & (axis < dim)[None, :]
    key_at = row * key_row + fresh * key_step + head * dim
    new_keys = _rotated(key_in, key_at, cosines, sines, row * queries + fresh, mask, dim, dim_tile)
    value_at = row * value_row + fresh * value_step + head * dim
    new_values = tl.load(value_in + value_at[:, None] + axis[None, :], mask=mask, other=0.0)
    entry = (row * heads + head) * length + (first + fresh) % length
    entry_at = entry[:, None] * dim + axis[None, :]
    live = fresh < queries
    kept_keys, key_scale = _stored(new_keys, keys + entry_at, key_scales + entry, mask, live, is_fp8)
    kept_values, value_scale = _stored(new_values, values + entry_at, value_scales + entry, mask, live, is_fp8)
    seen = live[None, :] & (fresh[None, :] <= step[:, None]) & (fresh[None, :] > step[:, None] - window)
    scales = (key_scale, value_scale)
    return _absorb(total, peak, heard, query, kept_keys, kept_values, scales, seen, scaling, is_fp8, native, wide)


@triton.jit
def _write_heard(
    heard_out,
    partial,
    weight,
    state,  # total, peak and heard, after all entries of the part
    place,  # see `_attend_kept`
    lane,
    lanes,  # [tile, dim_tile], which of them exist
    group: tl.constexpr,
    queries: tl.constexpr,
    dim: tl.constexpr,
    alone: tl.constexpr,
):
    """Write what the queries have heard: the result if the ring has one part, and otherwise a part for `combine`."""
    total, peak, heard = state
    row, head, heads, part, parts, _, _ = place
    axis = tl.arange(0, heard.shape[1])
    heard = heard / tl.maximum(total, 1.0e-30)[:, None]
    if alone:
        step_row = row * queries + lane % queries
        at = (step_row * heads * group + head * group + lane // queries)[:, None] * dim + axis[None, :]
        tl.store(heard_out + at, heard.to(heard_out.dtype.element_ty), mask=lanes)
    else:
        lane_out = ((row * heads + head) * parts + part) * (group * queries) + lane
        tl.store(partial + lane_out[:, None] * dim + axis[None, :], heard, mask=lanes)
        logarithm = tl.where(total > 0, peak + tl.log2(tl.maximum(total, 1.0e-30)), NONE)
        tl.store(weight + lane_out, logarithm, mask=lane < group * queries)


@triton.jit
def attend(
    query_in,  # [batch, queries, heads × group × dim], rows of the last axis contiguous, likewise key_in and value_in
    key_in,
    value_in,
    cosines,  # [batch, queries, dim]
    sines,
    positions,  # [batch, queries]
    keys,  # one layer of the ring, [rows, heads, length, dim]
    values,
    key_scales,  # [rows, heads, length]; read with is_fp8 only
    value_scales,
    heard_out,  # [batch, queries, heads × group × dim]
    partial,  # [batch, heads, parts, group × queries, dim], float32; not used with one part
    weight,  # [batch, heads, parts, group × queries], base 2 logarithms
    query_row,
    query_step,
    key_row,
    key_step,
    value_row,
    value_step,
    position_row,
    scaling,
    group: tl.constexpr,
    queries: tl.constexpr,
    window: tl.constexpr,
    length: tl.constexpr,
    dim: tl.constexpr,
    dim_tile: tl.constexpr,
    tile: tl.constexpr,
    block: tl.constexpr,
    is_fp8: tl.constexpr,
    native: tl.constexpr,
    wide: tl.constexpr,
    alone: tl.constexpr,
):
    row, head, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    heads, parts = tl.num_programs(1), tl.num_programs(2)
    first = tl.load(positions + row * position_row).to(tl.int64)
    last = first + queries - 1

    axis = tl.arange(0, dim_tile)
    lane = tl.arange(0, tile)  # lane = query of the group × queries + position
    step = lane % queries
    lanes = (lane < group * queries)[:, None] & (axis < dim)[None, :]
    at = row * query_row + step * query_step + (head * group + lane // queries) * dim
    query = _rotated(query_in, at, cosines, sines, row * queries + step, lanes, dim, dim_tile)

    place = (row, head, heads, part, parts, first, last)
    stored = (keys, values, key_scales, value_scales)
    state = _attend_kept(query, stored, place, step, scaling, queries, window, length, dim, block, is_fp8, native, wide)
    if part == 0:
        new = (key_in, value_in, cosines, sines)
        strides = (key_row, key_step, value_row, value_step)
        state = _attend_new(
            state, query, new, strides, stored, place, step, scaling, queries, window, length, dim, is_fp8, native, wide
        )
    _write_heard(heard_out, partial, weight, state, place, lane, lanes, group, queries, dim, alone)


@triton.jit
def combine(
    partial,
    weight,
    heard_out,
    parts,
    group: tl.constexpr,
    queries: tl.constexpr,
    dim: tl.constexpr,
    dim_tile: tl.constexpr,
    tile: tl.constexpr,
):
    """Merge the parts of `attend`: a program for each row and head of keys."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    heads = tl.num_programs(1)
    axis = tl.arange(0, dim_tile)
    lane = tl.arange(0, tile)
    in_group = lane < group * queries
    lanes = in_group[:, None] & (axis < dim)[None, :]
    peak = tl.full([tile], NONE, tl.float32)
    total = tl.zeros([tile], tl.float32)
    heard = tl.zeros([tile, dim_tile], tl.float32)
    for part in range(parts):
        at = ((row * heads + head) * parts + part) * (group * queries) + lane
        logarithm = tl.load(weight + at, mask=in_group, other=NONE)
        some = tl.load(partial + at[:, None] * dim + axis[None, :], mask=lanes, other=0.0)
        next_peak = tl.maximum(peak, logarithm)
        kept, added = tl.exp2(peak - next_peak), tl.exp2(logarithm - next_peak)
        total = total * kept + added
        heard = heard * kept[:, None] + some * added[:, None]
        peak = next_peak
    out = ((row * queries + lane % queries) * heads * group + head * group + lane // queries)[:, None] * dim
    heard = heard / total[:, None]
    tl.store(heard_out + out + axis[None, :], heard.to(heard_out.dtype.element_ty), mask=lanes)
