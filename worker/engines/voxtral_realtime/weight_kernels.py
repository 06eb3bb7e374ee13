"""Products with weights of 8 bits, as a Triton kernel: weights are read once, in their stored form. Needs triton.

See `weight_product` for the launch.
"""

import triton
import triton.language as tl

from worker.engines.voxtral_realtime.ring_kernels import fp8_values, matrix_product


@triton.jit
def multiply(
    hidden,  # [rows, inputs]
    codes,  # [outputs, inputs], int8, or uint8 with is_fp8
    scales,  # [outputs]
    result,  # [rows, outputs]
    rows,
    outputs,
    inputs,
    tile_rows: tl.constexpr,
    tile_outputs: tl.constexpr,
    block: tl.constexpr,
    is_fp8: tl.constexpr,
    native: tl.constexpr,
    wide: tl.constexpr,
):
    """A program for each tile of outputs; it processes all rows."""
    output = tl.program_id(0) * tile_outputs + tl.arange(0, tile_outputs)
    row = tl.arange(0, tile_rows)
    output_at = output.to(tl.int64)[:, None] * inputs
    total = tl.zeros([tile_rows, tile_outputs], tl.float32)
    for start in range(0, inputs, block):
        column = start + tl.arange(0, block)
        live = (column < inputs)[None, :]
        some = tl.load(hidden + row[:, None] * inputs + column[None, :], mask=(row < rows)[:, None] & live, other=0.0)
        code = tl.load(codes + output_at + column[None, :], mask=(output < outputs)[:, None] & live, other=0)
        values = fp8_values(code, tl.float32, native) if is_fp8 else code.to(tl.float32)
        weights = values.to(hidden.dtype.element_ty)
        total += matrix_product(some, tl.trans(weights), wide)
    scale = tl.load(scales + output, mask=output < outputs, other=0.0).to(tl.float32)
    mask = (row < rows)[:, None] & (output < outputs)[None, :]
    scaled = (total * scale[None, :]).to(result.dtype.element_ty)
    tl.store(result + row[:, None] * outputs + output[None, :], scaled, mask=mask)
