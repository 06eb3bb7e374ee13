"""Streaming models for sherpa-onnx that detect marks: short high tones, one for each token. Built by hand, not trained.

Their text follows from the positions of the marks, so that tests can compare whole texts and times. Speech around the
marks is for the VAD; the models ignore it. Knows sherpa-onnx' file formats and nothing of our engine.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SAMPLE_RATE_HZ = 16_000
TOKENS = ("<blk>", "▁for", "ty", "▁two", "中", "文", "<0xC3>", "<0xA9>")
MARK_S = 0.1
FRAME_S = 0.04
"""Four hops of 10 ms, as sherpa-onnx counts the times of tokens."""

BINS = dict(zip(TOKENS[1:], (43, 48, 53, 58, 63, 68, 73), strict=True))
"""The mel filter of each token's mark."""
MEL_FILTERS = 80
_SPEECH_HZ = 1_800
"""Higher frequencies are removed from the speech, so that none of its sounds is detected as a mark."""
_HEARD = 0.0
"""Logarithm of a filter's energy from which on a mark is detected. Marks reach 6, adjacent filters stay below -3."""
_OPSET = 17


def marked(pcm: NDArray[np.float32], marks: Sequence[tuple[float, str]], level: float = 0.25) -> NDArray[np.float32]:
    """The audio with a tone for each (second, token), and without its own sounds above 1.8 kHz."""
    spectrum = np.fft.rfft(pcm)
    spectrum[round(_SPEECH_HZ * len(pcm) / SAMPLE_RATE_HZ) :] = 0
    out = np.fft.irfft(spectrum, len(pcm)).astype(np.float32)
    length = round(MARK_S * SAMPLE_RATE_HZ)
    window = np.hanning(length)
    for at_s, token in marks:
        start = round(at_s * SAMPLE_RATE_HZ)
        tone = level * window * np.sin(2 * np.pi * frequency_hz(BINS[token]) * np.arange(length) / SAMPLE_RATE_HZ)
        out[start : start + length] += tone[: len(out) - start].astype(np.float32)
    return np.clip(out, -1, 1)


def write_ctc(folder: Path, *, name: str = "model.onnx", delayed: bool = True) -> Path:
    """A streaming zipformer2 CTC model with chunks of 320 ms; `delayed` makes it write each chunk one chunk later."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokens(folder)
    kept = 8  # frames of a chunk
    size = len(TOKENS)
    states = {
        "cached_key": (1, "N", 1),
        "cached_nonlin_attn": (1, "N", 1, 3 * size // 4),
        "cached_val1": (1, "N", 1),
        "cached_val2": (1, "N", 1),
        "cached_conv1": ("N", size, kept),
        "cached_conv2": ("N", size, kept),
        "embed_states": ("N", 128, 3, 19),
    }
    nodes = [
        *_detector(chunk=32),
        helper.make_node("LogSoftmax", ["scores"], ["now"], axis=-1),
        helper.make_node("Transpose", ["now"], ["new_cached_conv1"], perm=[0, 2, 1]),
        helper.make_node("Transpose", ["cached_conv1"], ["before"], perm=[0, 2, 1]),
        helper.make_node("Identity", ["before" if delayed else "now"], ["log_probs"]),
        helper.make_node("Identity", ["processed_lens"], ["new_processed_lens"]),
        *(helper.make_node("Identity", [key], [f"new_{key}"]) for key in states if key != "cached_conv1"),
    ]
    inputs = [value("x", ("N", 45, MEL_FILTERS)), *(value(key, shape) for key, shape in states.items())]
    outputs = [value("log_probs", ("N", kept, size)), *(value(f"new_{key}", shape) for key, shape in states.items())]
    inputs.append(value("processed_lens", ("N",), TensorProto.INT64))
    outputs.append(value("new_processed_lens", ("N",), TensorProto.INT64))
    metadata = {
        "model_type": "zipformer2",
        "encoder_dims": size,
        "query_head_dims": 1,
        "value_head_dims": 1,
        "num_heads": 1,
        "num_encoder_layers": 1,
        "cnn_module_kernels": 2 * kept + 1,
        "left_context_len": 1,
        "T": 45,
        "decode_chunk_len": 32,
    }
    write_network(
        folder / name, nodes=nodes, inputs=inputs, outputs=outputs, weights=_detector_weights(), metadata=metadata
    )
    return folder


def write_transducer(folder: Path, *, suffix: str = "") -> Path:
    """A streaming LSTM transducer with chunks of 160 ms. It writes a token where its mark begins."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokens(folder)
    _write_encoder(folder / f"encoder{suffix}.onnx")
    size = len(TOKENS)
    weights = {"zero": np.zeros((2, size), np.float32)}
    nodes = [
        helper.make_node("Cast", ["y"], ["context"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["context", "zero"], ["decoder_out"]),
    ]
    inputs, outputs = [value("y", ("N", 2), TensorProto.INT64)], [value("decoder_out", ("N", size))]
    metadata = {"vocab_size": size, "context_size": 2}
    write_network(
        folder / f"decoder{suffix}.onnx",
        nodes=nodes,
        inputs=inputs,
        outputs=outputs,
        weights=weights,
        metadata=metadata,
    )
    nodes = [helper.make_node("Add", ["encoder_out", "decoder_out"], ["logit"])]
    inputs = [value("encoder_out", ("N", size)), value("decoder_out", ("N", size))]
    outputs = [value("logit", ("N", size))]
    metadata = {"joiner_dim": size}
    write_network(
        folder / f"joiner{suffix}.onnx", nodes=nodes, inputs=inputs, outputs=outputs, weights={}, metadata=metadata
    )
    return folder


def write_tokens(folder: Path, tokens: Sequence[str] = TOKENS) -> None:
    lines = "".join(f"{token} {number}\n" for number, token in enumerate(tokens))
    (folder / "tokens.txt").write_text(lines, encoding="utf-8")


def set_metadata(file: Path, metadata: Mapping[str, str]) -> None:
    """Set exactly this metadata in an ONNX file."""
    model = onnx.load(str(file))
    del model.metadata_props[:]
    helper.set_model_props(model, dict(metadata))
    onnx.save(model, str(file))


def _write_encoder(path: Path) -> None:
    """A token's score counts only if the frame before did not have it; the last frame of a chunk is kept in `c`."""
    size, frames = len(TOKENS), 4
    nodes = [
        *_detector(chunk=4 * frames),
        helper.make_node("Sub", ["scores", "threshold"], ["above"]),
        helper.make_node("Sign", ["above"], ["sign"]),
        helper.make_node("Relu", ["sign"], ["on"]),  # [N, frames, size], 1 while a mark sounds
        helper.make_node("Transpose", ["c"], ["kept"], perm=[1, 0, 2]),
        helper.make_node("Slice", ["on", "first", "last", "axis"], ["earlier"]),
        helper.make_node("Concat", ["kept", "earlier"], ["before"], axis=1),
        helper.make_node("Sub", ["on", "before"], ["onset"]),
        helper.make_node("Add", ["onset", "blank"], ["encoder_out"]),
        helper.make_node("Slice", ["on", "last", "end", "axis"], ["latest"]),
        helper.make_node("Transpose", ["latest"], ["new_c"], perm=[1, 0, 2]),
        helper.make_node("Identity", ["h"], ["new_h"]),
    ]
    weights = _detector_weights() | {
        "threshold": np.asarray([_HEARD + 1] + [_HEARD] * (size - 1), np.float32),
        "blank": np.asarray([0.5] + [0.0] * (size - 1), np.float32),
        "first": np.asarray([0], np.int64),
        "last": np.asarray([frames - 1], np.int64),
        "end": np.asarray([frames], np.int64),
        "axis": np.asarray([1], np.int64),
    }
    inputs = [value("x", ("N", 21, MEL_FILTERS)), value("h", (1, "N", 1)), value("c", (1, "N", size))]
    outputs = [
        value("encoder_out", ("N", frames, size)),
        value("new_h", (1, "N", 1)),
        value("new_c", (1, "N", size)),
    ]
    metadata = {
        "model_type": "lstm",
        "num_encoder_layers": 1,
        "T": 21,
        "decode_chunk_len": 4 * frames,
        "rnn_hidden_size": size,
        "d_model": 1,
    }
    write_network(path, nodes=nodes, inputs=inputs, outputs=outputs, weights=weights, metadata=metadata)


def _detector(chunk: int) -> list[onnx.NodeProto]:
    """`x` [N, hops, 80] to `scores` [N, chunk / 4, tokens]: how loud each mark is in the loudest of four hops."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [-1, chunk // 4, 4, len(TOKENS)])
    bounds = [helper.make_tensor(name, TensorProto.INT64, [1], [at]) for name, at in (("from", 0), ("to", chunk))]
    hops = helper.make_tensor("hops", TensorProto.INT64, [1], [1])
    return [
        *(helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in (shape, hops, *bounds)),
        helper.make_node("Slice", ["x", "from", "to", "hops"], ["heard"]),
        helper.make_node("MatMul", ["heard", "filters"], ["energies"]),
        helper.make_node("Add", ["energies", "silence"], ["levels"]),
        helper.make_node("Reshape", ["levels", "shape"], ["grouped"]),
        helper.make_node("ReduceMax", ["grouped"], ["scores"], axes=[2], keepdims=0),
    ]


def _detector_weights() -> dict[str, NDArray[np.float32]]:
    filters = np.zeros((MEL_FILTERS, len(TOKENS)), np.float32)
    for token, mel_bin in BINS.items():
        filters[mel_bin, TOKENS.index(token)] = 1
    silence = np.zeros(len(TOKENS), np.float32)
    silence[0] = _HEARD
    return {"filters": filters, "silence": silence}


def frequency_hz(mel_bin: int) -> float:
    """The middle of a filter of the 80 between 20 and 7600 Hz (Kaldi's mel scale)."""
    low, high = (1127 * np.log1p(hz / 700) for hz in (20, 7600))
    return float(700 * np.expm1((low + (mel_bin + 1) * (high - low) / (MEL_FILTERS + 1)) / 1127))


def value(name: str, shape: tuple[int | str, ...], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def write_network(
    path: Path,
    *,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: Mapping[str, NDArray[np.generic]],
    metadata: Mapping[str, object],
) -> None:
    initial = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    helper.set_model_props(model, {key: str(fact) for key, fact in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
