"""What 8 bits cost: the tiny trained checkpoint hears the same words, and nearly all tokens are the same."""

from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import pytest
import torch
from safetensors import safe_open

from shared.config.settings import Settings
from shared.errors import StartupError
from shared.session_options import SessionOptions
from tests.engine_sessions import drained, plain, text_of
from tests.tiny import realtime, scenes
from tests.tiny.engine import loaded_realtime
from worker.engines.loading import checkpoints
from worker.engines.registry import REALTIME, load_engine
from worker.engines.voxtral_realtime.weights import EightBitLinear, is_converted

SPOKEN = [
    scenes.scene(seed, 8, gap_s=(0.1, 0.4), snr_db=snr_db) for seed, snr_db in ((50, None), (51, 20.0), (52, 15.0))
]
MAX_TOKENS_APART = 0.02
"""Share of the tokens that may differ. Nearly all of them are about when a word is said."""


loaded = partial(loaded_realtime, slots=3)


def heard(**model: Any) -> tuple[list[str], list[int]]:
    """The text of each scene, and all tokens."""
    threads = torch.get_num_threads()
    engine = loaded(**model)
    engine._model.warm_up({6})
    assert ("keys and values: fp8" in engine._model.kernels_text) == ("kv_dtype" in model)
    read, tokens = engine._model.read, [[] for _ in SPOKEN]

    def overheard() -> list[int]:
        said: list[int] = read()
        for row, token in zip(tokens, said, strict=False):
            row.append(token)
        return said

    engine._model.read = overheard
    for number, spoken in enumerate(SPOKEN):
        engine.open(str(number), SessionOptions(delay_ms=480))
        engine.feed(str(number), spoken.audio)
        engine.finish(str(number))
    outputs = drained(engine)
    torch.set_num_threads(threads)
    texts = [text_of(outputs[str(number)]) for number in range(len(SPOKEN))]
    return texts, [token for row in tokens for token in row]


@pytest.fixture(scope="module")
def exact() -> tuple[list[str], list[int]]:
    return heard()


@pytest.mark.parametrize("model", [{"kv_dtype": "fp8"}, {"weight_dtype": "int8"}, {"weight_dtype": "fp8"}])
def test_8_bits_hear_the_same_words(exact: tuple[list[str], list[int]], model: dict[str, str]) -> None:
    texts, tokens = heard(**model)
    truth = [spoken.text for spoken in SPOKEN]
    assert jiwer.wer(truth, [plain(text) for text in texts]) == jiwer.wer(truth, [plain(text) for text in exact[0]])
    apart = 1 - SequenceMatcher(None, tokens, exact[1], autojunk=False).ratio()
    assert apart <= MAX_TOKENS_APART


@pytest.mark.parametrize(("kind", "step"), [("int8", 1 / 254), ("fp8", 1 / 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_of_8_bits_are_within_a_step(kind: Any, step: float, dtype: torch.dtype) -> None:
    """Of the largest weight of an output for int8, of each weight for fp8."""
    linear = torch.nn.Linear(64, 48).to(dtype).requires_grad_(requires_grad=False)
    small = EightBitLinear.of(linear, kind, torch.device("cpu"))
    restored = small.weight.float() * small.scales.float()[:, None]
    weight = linear.weight.float()
    of = weight.abs().amax(dim=1, keepdim=True) if kind == "int8" else weight.abs().clamp(min=1e-4)
    assert bool(((restored - weight).abs() <= of * (step + 0.005)).all())
    hidden = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = torch.nn.functional.linear(hidden.float(), restored, linear.bias.float())
    assert torch.allclose(small(hidden).float(), expected, atol=1e-5 if dtype == torch.float32 else 0.02)


@pytest.mark.parametrize("kind", ["int8", "fp8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_output_without_weights_stays_zero(kind: Any, dtype: torch.dtype) -> None:
    linear = torch.nn.Linear(64, 48, bias=False).to(dtype).requires_grad_(requires_grad=False)
    linear.weight[3] = 0
    small = EightBitLinear.of(linear, kind, torch.device("cpu"))
    heard = small(torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).to(dtype))
    assert bool((heard[:, 3] == 0).all())
    assert bool(heard.isfinite().all())


def test_weights_of_all_layers_take_one_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is counted before they are loaded is what is converted."""
    realtime.write_checkpoint(tmp_path)
    stored_bytes = (tmp_path / "model.safetensors").stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "free_memory_bytes", lambda device: stored_bytes)  # not 1.05 times as much
        with pytest.raises(StartupError, match=r"GB free; .*model\.weight_dtype\."):
            loaded(tmp_path)
        loaded(tmp_path, weight_dtype="int8")
    engine = loaded(tmp_path, weight_dtype="int8")
    assert engine.info.compute_type == "int8_float32"
    assert engine._model.kernels_text == "attention: sdpa; products with weights of 8 bits: torch"
    model = engine._model._model
    small = sum(weight.numel() for weight in model.parameters() if weight.dtype == torch.int8)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as stored:
        names = [name for name in stored.keys() if is_converted(name)]  # noqa: SIM118 -- no dict
        assert small == sum(stored.get_tensor(name).numel() for name in names)
    assert len(names) == (2 + 2) * (4 + 3)
    assert {weight.dtype for name, weight in model.named_parameters() if "layers" not in name} == {torch.float32}


def test_bf16_weights_are_of_a_model_in_bfloat16() -> None:
    with pytest.raises(
        StartupError, match=r"weight_dtype is 'bf16', but the model computes in float32; set model\.tor"
    ):
        loaded(weight_dtype="bf16")
    assert loaded(weight_dtype="bf16", torch_dtype="bfloat16").info.compute_type == "bfloat16"


@pytest.mark.parametrize(
    ("key", "value", "owner"),
    [
        ("attention", "triton", REALTIME),
        ("kv_dtype", "fp8", REALTIME),
        ("weight_dtype", "int8", REALTIME),
        ("compile", "on", "Voxtral"),
        ("attn_implementation", "eager", "Voxtral"),
    ],
)
def test_settings_of_voxtral_are_told_to_other_models(key: str, value: str, owner: str) -> None:
    with pytest.raises(StartupError, match=rf"model\.{key} is '{value}', which is of {owner} and not of echo; set it"):
        load_engine(Settings(model={"name": "echo", key: value}))  # type: ignore[arg-type]


def test_layers_of_other_models_may_stay_uncompiled() -> None:
    assert load_engine(Settings(model={"name": "echo", "compile": "off"})).info.model == "echo"  # type: ignore[arg-type]
