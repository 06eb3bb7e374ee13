"""Triton's kernels compile for GPUs, down to machine code. Triton brings all that this needs, and no GPU is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed, so that its kernels cannot be compiled.")


def test_kernels_compile_for_a_gpu(tmp_path: Path) -> None:
    """Ampere, which has no instructions for numbers of 8 bits, and Hopper, which has."""
    code = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from worker.engines.voxtral_realtime.ring_kernels import attend, combine
from worker.engines.voxtral_realtime.weight_kernels import multiply

shape = dict(group=1, queries=4, dim=64, dim_tile=64, tile=16)
layout = dict(window=750, length=768, block=64, is_fp8=True, wide=False, alone=False)
tiles = dict(tile_rows=16, tile_outputs=32, block=128, is_fp8=True, wide=False)
kinds = dict.fromkeys(("query_in", "key_in", "value_in", "cosines", "sines", "heard_out"), "*bf16")
kinds |= dict.fromkeys(("key_scales", "value_scales"), "*bf16") | dict.fromkeys(("keys", "values"), "*u8")
kinds |= dict(positions="*i64", partial="*fp32", weight="*fp32", scaling="fp32")
kinds |= dict(hidden="*bf16", codes="*u8", scales="*bf16", result="*bf16")
for capability, native in ((80, False), (90, True)):
    for kernel, constants in ((attend, shape | layout), (combine, shape), (multiply, tiles)):
        constants = dict(constants, native=native) if "native" in kernel.arg_names else constants
        types = {name: "constexpr" if name in constants else kinds.get(name, "i32") for name in kernel.arg_names}
        source = ASTSource(kernel, types, constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        assert compiled.metadata.shared <= 99 * 1024, "what a consumer GPU has for a program"
        assert ("cvt.rn.f16x2.e4m3x2" in compiled.asm["ptx"]) == (native and kernel != combine)
        print(len(compiled.asm["cubin"]) > 0)
"""
    variables = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True"] * 6, done.stderr
