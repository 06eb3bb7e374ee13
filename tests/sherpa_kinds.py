"""Two more kinds of streaming models that detect marks: Paraformer, and a transducer as NVIDIA's NeMo exports them.

As in `sherpa_models`, but a token must not follow itself in the transducer.
"""

from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper

from tests.sherpa_models import BINS, MEL_FILTERS, TOKENS, frequency_hz, value, write_network, write_tokens

PARAFORMER_TOKENS = ("<blank>", "for@@", "ty", "two", "中", "文", "<s>", "</s>")
NEMO_TOKENS = (*TOKENS[1:], "<blk>")
_SIZE = len(TOKENS)
_STACKED = 7
"""Hops of 10 ms that Paraformer processes together, every sixth hop."""
_PARAFORMER_HEARD = 60.0
"""A mark's level, of samples within ±32768 and as the library scales it: marks reach 75, speech stays below 45."""
_NEMO_FRAMES = 4
"""Frames of a chunk."""
_NEMO_HOPS = 8
"""Hops of 10 ms in a frame."""
_NEMO_HEARD = -6.0
"""A mark's level: marks reach 2, silence -16."""


def write_paraformer(folder: Path) -> Path:
    """Marks of 100 ms are detected in one or two frames of 70 ms, and written at the first of them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokens(folder, PARAFORMER_TOKENS)
    filters = np.zeros((_STACKED * MEL_FILTERS, _SIZE), np.float32)
    for number, mel_bin in enumerate(BINS.values(), start=1):
        filters[mel_bin + MEL_FILTERS * (_STACKED // 2), number] = 1
    nodes = [
        helper.make_node("MatMul", ["speech", "filters"], ["levels"]),
        helper.make_node("ReduceMin", ["levels"], ["least"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["least", "nothing"], ["silence"]),
        *_onsets("silence"),
        helper.make_node("ReduceSum", ["onset", "tokens"], ["alphas"], keepdims=0),
        helper.make_node("Identity", ["onset"], ["enc"]),
        helper.make_node("Identity", ["speech_lengths"], ["enc_len"]),
    ]
    weights = {
        "filters": filters,
        "threshold": np.full(_SIZE, _PARAFORMER_HEARD, np.float32),
        "tokens": np.asarray([2], np.int64),
        "nothing": np.zeros(1, np.float32),
    }
    inputs = [value("speech", ("N", "T", _STACKED * MEL_FILTERS)), value("speech_lengths", ("N",), TensorProto.INT32)]
    outputs = [
        value("enc", ("N", "T", _SIZE)),
        value("enc_len", ("N",), TensorProto.INT32),
        value("alphas", ("N", "T")),
    ]
    metadata = {
        "vocab_size": _SIZE,
        "lfr_window_size": _STACKED,
        "lfr_window_shift": 6,
        "encoder_output_size": _SIZE,
        "decoder_num_blocks": 1,
        "decoder_kernel_size": 2,
        "neg_mean": ",".join(["0"] * (_STACKED * MEL_FILTERS)),
        "inv_stddev": ",".join(["1"] * (_STACKED * MEL_FILTERS)),
    }
    write_network(
        folder / "encoder.int8.onnx", nodes=nodes, inputs=inputs, outputs=outputs, weights=weights, metadata=metadata
    )
    nodes = [
        helper.make_node("Identity", ["acoustic_embeds"], ["logits"]),
        helper.make_node("ArgMax", ["acoustic_embeds"], ["sample_ids"], axis=-1, keepdims=0),
        helper.make_node("Identity", ["in_cache"], ["out_cache"]),
    ]
    inputs = [
        value("enc", ("N", "T", _SIZE)),
        value("enc_len", ("N",), TensorProto.INT32),
        value("acoustic_embeds", ("N", "n", _SIZE)),
        value("acoustic_embeds_len", ("N",), TensorProto.INT32),
        value("in_cache", ("N", _SIZE, 1)),
    ]
    outputs = [
        value("logits", ("N", "n", _SIZE)),
        value("sample_ids", ("N", "n"), TensorProto.INT64),
        value("out_cache", ("N", _SIZE, 1)),
    ]
    write_network(folder / "decoder.int8.onnx", nodes=nodes, inputs=inputs, outputs=outputs, weights={}, metadata={})
    return folder


def write_nemo(folder: Path) -> Path:
    """Chunks of 320 ms, frames of 80 ms."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokens(folder, NEMO_TOKENS)
    _write_nemo_encoder(folder / "encoder.onnx")
    _write_nemo_decoder(folder / "decoder.onnx")
    nodes = [
        helper.make_node("Add", ["outputs", "decoder_output"], ["both"]),
        helper.make_node("Transpose", ["both"], ["flat"], perm=[0, 2, 1]),
        helper.make_node("Unsqueeze", ["flat", "second"], ["joint"]),
    ]
    inputs = [value("outputs", ("N", _SIZE, "T")), value("decoder_output", ("N", _SIZE, "U"))]
    weights = {"second": np.asarray([2], np.int64)}
    write_network(
        folder / "joiner.onnx",
        nodes=nodes,
        inputs=inputs,
        outputs=[value("joint", ("N", "T", 1, _SIZE))],
        weights=weights,
        metadata={},
    )
    return folder


def _write_nemo_encoder(path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["audio_signal"], ["x"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["x", "first", "hops", "axis"], ["heard"]),
        helper.make_node("MatMul", ["heard", "filters"], ["energies"]),
        helper.make_node("Sub", ["energies", "blank"], ["each"]),
        helper.make_node("Reshape", ["each", "shape"], ["grouped"]),
        helper.make_node("ReduceMax", ["grouped"], ["levels"], axes=[2], keepdims=0),
        helper.make_node("Squeeze", ["cache_last_channel", "axis"], ["kept"]),
        *_onsets("kept"),
        helper.make_node("Add", ["onset", "half"], ["scores"]),
        helper.make_node("Transpose", ["scores"], ["outputs"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["on", "last", "end", "axis"], ["latest"]),
        helper.make_node("Unsqueeze", ["latest", "axis"], ["cache_last_channel_next"]),
        helper.make_node("Identity", ["length"], ["encoded_lengths"]),
        helper.make_node("Identity", ["cache_last_time"], ["cache_last_time_next"]),
        helper.make_node("Identity", ["cache_last_channel_len"], ["cache_last_channel_len_next"]),
    ]
    caches = {"cache_last_channel": ("N", 1, 1, _SIZE), "cache_last_time": ("N", 1, 1, 1)}
    inputs = [
        value("audio_signal", ("N", MEL_FILTERS, "T")),
        value("length", ("N",), TensorProto.INT64),
        *(value(name, shape) for name, shape in caches.items()),
        value("cache_last_channel_len", ("N",), TensorProto.INT64),
    ]
    outputs = [
        value("outputs", ("N", _SIZE, _NEMO_FRAMES)),
        value("encoded_lengths", ("N",), TensorProto.INT64),
        *(value(f"{name}_next", shape) for name, shape in caches.items()),
        value("cache_last_channel_len_next", ("N",), TensorProto.INT64),
    ]
    write_network(path, nodes=nodes, inputs=inputs, outputs=outputs, weights=_nemo_weights(), metadata=_nemo_metadata())


def _nemo_weights() -> dict[str, np.ndarray]:
    """The filters of marks, and what the encoder adds to them, compares them with and cuts its input by."""
    filters = np.zeros((MEL_FILTERS, _SIZE), np.float32)
    for number, mel_bin in enumerate(BINS.values()):
        filters[_slaney_bin(frequency_hz(mel_bin)), number] = 1
    filters_of_blank = np.zeros(_SIZE, np.float32)
    filters_of_blank[-1] = 100.0
    return {
        "filters": filters,
        "blank": filters_of_blank,
        "half": np.asarray([0.0] * (_SIZE - 1) + [0.5], np.float32),
        "threshold": np.full(_SIZE, _NEMO_HEARD, np.float32),
        "shape": np.asarray([-1, _NEMO_FRAMES, _NEMO_HOPS, _SIZE], np.int64),
        "first": np.asarray([0], np.int64),
        "hops": np.asarray([_NEMO_FRAMES * _NEMO_HOPS], np.int64),
        "last": np.asarray([_NEMO_FRAMES - 1], np.int64),
        "end": np.asarray([_NEMO_FRAMES], np.int64),
        "axis": np.asarray([1], np.int64),
    }


def _nemo_metadata() -> dict[str, object]:
    """What the library reads of the encoder: its kind, its chunks and the shapes of its caches."""
    return {
        "model_type": "EncDecHybridRNNTCTCBPEModel",
        "vocab_size": _SIZE - 1,
        "window_size": 41,
        "chunk_shift": _NEMO_FRAMES * _NEMO_HOPS,
        "subsampling_factor": _NEMO_HOPS,
        "normalize_type": "NA",
        "pred_rnn_layers": 1,
        "pred_hidden": 1,
        "cache_last_channel_dim1": 1,
        "cache_last_channel_dim2": 1,
        "cache_last_channel_dim3": _SIZE,
        "cache_last_time_dim1": 1,
        "cache_last_time_dim2": 1,
        "cache_last_time_dim3": 1,
    }


def _write_nemo_decoder(path: Path) -> None:
    """Reduces the last token's score, so that a mark is written once."""
    minus = -np.eye(_SIZE, dtype=np.float32)
    minus[-1, -1] = 0
    nodes = [
        helper.make_node("Gather", ["minus", "targets"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["decoder_output"], perm=[0, 2, 1]),
        helper.make_node("Identity", ["target_length"], ["prednet_lengths"]),
        helper.make_node("Identity", ["states_1"], ["states"]),
        helper.make_node("Identity", ["onnx_slice"], ["states_next"]),
    ]
    inputs = [
        value("targets", ("N", "U"), TensorProto.INT32),
        value("target_length", ("N",), TensorProto.INT32),
        value("states_1", (1, "N", 1)),
        value("onnx_slice", (1, "N", 1)),
    ]
    outputs = [
        value("decoder_output", ("N", _SIZE, "U")),
        value("prednet_lengths", ("N",), TensorProto.INT32),
        value("states", (1, "N", 1)),
        value("states_next", (1, "N", 1)),
    ]
    write_network(path, nodes=nodes, inputs=inputs, outputs=outputs, weights={"minus": minus}, metadata={})


def _onsets(before: str) -> list[NodeProto]:
    """`levels` [N, T, tokens] to `on`, 1 while a mark sounds, and `onset`, 1 where it begins.

    `before`: `on` of the frame before the first, [N, 1, tokens].
    """
    ends = [helper.make_tensor(name, TensorProto.INT64, [1], [at]) for name, at in (("from", 0), ("to", -1), ("of", 1))]
    return [
        *(helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in ends),
        helper.make_node("Sub", ["levels", "threshold"], ["above"]),
        helper.make_node("Sign", ["above"], ["sign"]),
        helper.make_node("Relu", ["sign"], ["on"]),
        helper.make_node("Slice", ["on", "from", "to", "of"], ["earlier"]),
        helper.make_node("Concat", [before, "earlier"], ["shifted"], axis=1),
        helper.make_node("Sub", ["on", "shifted"], ["change"]),
        helper.make_node("Relu", ["change"], ["onset"]),
    ]


def _slaney_bin(frequency_hz: float) -> int:
    """The nearest of the 80 filters between 0 and 8000 Hz on Slaney's mel scale, for frequencies above 1 kHz."""

    def mel(hz: float) -> float:
        return float(15 + 27 * np.log(hz / 1000) / np.log(6.4))

    return round(mel(frequency_hz) / (mel(8000) / (MEL_FILTERS + 1))) - 1
