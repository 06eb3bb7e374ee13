"""ONNX Runtime decodes live windows as CTranslate2 does, in fewer steps."""

import tempfile
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import tokenizers
from numpy.typing import NDArray
from structlog.testing import capture_logs

from shared.events import SAMPLE_RATE_HZ
from tests.bench.scoring import normalised
from tests.integration.whisper_sessions import shared_decoder
from tests.speech import SENTENCES, noise, silence, synthesise
from tests.tiny.whisper import ENGLISH, LARGE_V3, MULTILINGUAL, Shape, write_whisper
from worker.engines.whisper.decoder import RESERVED_POSITIONS, WhisperDecoder
from worker.engines.whisper.encoded import FRAMES_PER_S
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.onnx_model import model as onnx_model
from worker.engines.whisper.onnx_model.encoded_window import EncodedWindow
from worker.engines.whisper.onnx_model.model import OnnxWhisper, SpecialTokens
from worker.engines.whisper.onnx_model.sessions import is_exact
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.transcript import joined
from worker.engines.whisper.weights import model_directory

SHAPES = {"multilingual": MULTILINGUAL, "english": ENGLISH, "large-v3": LARGE_V3, "blocks": Shape(width=384, heads=6)}
INT8 = Placement(compute_type="int8", threads=2)
CLOSE_S = 0.1
MOST_STEPS = 20
"""Of a command of three words, decoded twice."""

pytestmark = pytest.mark.skipif(not is_exact(), reason="This processor does not multiply 8-bit integers exactly.")


@pytest.fixture
def decoder() -> WhisperDecoder:
    return shared_decoder()


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return synthesise(SENTENCES[0])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each step of ONNX Runtime has read."""
    counts: list[int] = []
    read = OnnxWhisper.decode

    def counted(self: OnnxWhisper, memory: Any, texts: Any, **others: Any) -> Any:
        counts.append(len(texts[0]))
        return read(self, memory, texts, **others)

    monkeypatch.setattr(OnnxWhisper, "decode", counted)
    return counts


def live(pcm: NDArray[np.float32], **options: Any) -> Job:
    return Job(pcm, language="en", is_live=True, **options)


def special_tokens(directory: Path) -> SpecialTokens:
    vocabulary = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokens = vocabulary.get_vocab()
    return SpecialTokens(tokens["<|startoftranscript|>"], tokens["<|endoftext|>"], tokens["<|notimestamps|>"] + 1)


def tokens_of(heard: Heard) -> tuple[int, ...]:
    return heard.lead_tokens + tuple(token for word in heard.words for token in (*word.tokens, *word.mark_tokens))


def test_text_times_and_probabilities_are_those_of_ctranslate2(
    decoder: WhisperDecoder, speech: NDArray[np.float32]
) -> None:
    [ours], [theirs] = (
        decoder.run([live(speech, closing=True)]),
        decoder.run([Job(speech, language="en", closing=True)]),
    )
    assert joined(ours.words) == joined(theirs.words) != ""
    for one, other in zip(ours.words, theirs.words, strict=True):
        assert abs(one.start_samples - other.start_samples) <= CLOSE_S * SAMPLE_RATE_HZ, one.text
        assert abs(one.end_samples - other.end_samples) <= CLOSE_S * SAMPLE_RATE_HZ, one.text
        assert one.probability == pytest.approx(other.probability, abs=0.15)
    assert ours.log_probability == pytest.approx(theirs.log_probability, abs=0.1)
    assert ours.no_speech_probability == pytest.approx(theirs.no_speech_probability, abs=0.05)


def test_words_after_timestamps_begin_with_their_sentence(decoder: WhisperDecoder, speech: NDArray[np.float32]) -> None:
    """The decoder writes two between sentences."""
    before = np.concatenate([speech, silence(0.8)])
    whole, first = decoder.run([live(np.concatenate([before, synthesise(SENTENCES[1])])), live(before)])
    later = whole.words[len(first.words) :]
    assert normalised("".join(word.text for word in later)) == normalised(SENTENCES[1])
    assert abs(later[0].start_samples - len(before)) <= 2 * CLOSE_S * SAMPLE_RATE_HZ
    assert min(word.probability for word in later) > 0.3


def test_language_of_live_speech_is_detected_as_by_ctranslate2(
    decoder: WhisperDecoder, speech: NDArray[np.float32], reads: list[int]
) -> None:
    [theirs] = decoder.detect([speech])
    assert reads == [], "the text of recordings depends on CTranslate2 alone"
    [ours] = decoder.detect([speech], is_live=True)
    assert reads == [1]
    assert ours.keys() == theirs.keys()
    assert max(ours, key=lambda code: ours[code]) == "en"
    assert sum(ours.values()) == pytest.approx(1.0, abs=1e-4)
    assert ours["en"] == pytest.approx(theirs["en"], abs=0.15)


@pytest.mark.parametrize(
    ("seconds", "closing", "window_s"), [(2, False, 4), (5.5, False, 7), (9, False, 10), (9, True, 11)]
)
def test_partials_of_long_windows_have_less_padding(
    decoder: WhisperDecoder, seconds: float, closing: bool, window_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short ones need it, and text that may become final is decoded with more care."""
    frames: list[int] = []
    encode = OnnxWhisper.encode

    def counted(self: OnnxWhisper, spectrogram: NDArray[np.float32]) -> Any:
        frames.append(spectrogram.shape[1])
        return encode(self, spectrogram)

    monkeypatch.setattr(OnnxWhisper, "encode", counted)
    decoder.run([live(noise(seconds, 0.1), closing=closing, cap_tokens=2)])
    assert frames[0] == window_s * FRAMES_PER_S


def test_windows_that_can_share_a_batch_have_whole_seconds(
    decoder: WhisperDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    window = WhisperDecoder._window

    def measured(self: WhisperDecoder, pcm: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        lengths.append(frames)
        return window(self, pcm, frames)

    monkeypatch.setattr(WhisperDecoder, "_window", measured)
    decoder.run([Job(noise(9.3, 0.1), language="en", cap_tokens=2)])
    assert lengths == [12 * FRAMES_PER_S]


def test_forced_words_are_read_in_one_step(
    decoder: WhisperDecoder, speech: NDArray[np.float32], reads: list[int]
) -> None:
    [whole] = decoder.run([live(speech)])
    forced = tokens_of(whole)[:8]
    reads.clear()
    [rest] = decoder.run([live(speech, forced=forced)])
    assert forced + tokens_of(rest) == tokens_of(whole)
    assert max(reads[:-1]) == reads[0] > len(forced)
    assert len(reads) <= 2 + len(tokens_of(rest)) + 2


def test_right_draft_takes_no_steps_and_a_wrong_one_changes_nothing(
    decoder: WhisperDecoder, speech: NDArray[np.float32], reads: list[int]
) -> None:
    [plain] = decoder.run([live(speech)])
    tokens, steps = tokens_of(plain), len(reads)
    wrong_end, wrong = (*tokens[:6], tokens[0], *tokens[7:]), tuple(reversed(tokens))
    drafts = ((tokens, 4), (tokens[:-3], 7), ((*tokens, 11, 12), 4), (wrong_end, steps), (wrong, steps))
    for draft, most_steps in drafts:
        reads.clear()
        [drafted] = decoder.run([live(speech, draft=draft)])
        assert joined(drafted.words) == joined(plain.words)
        assert len(reads) <= most_steps, draft


def test_beam_finds_an_answer_that_is_at_least_as_likely(
    decoder: WhisperDecoder, speech: NDArray[np.float32], reads: list[int]
) -> None:
    [plain] = decoder.run([live(speech, closing=True)])
    reads.clear()
    [best] = decoder.run([live(speech, closing=True, beam_below=0.0)])
    assert len(reads) > 1
    assert joined(best.words) == joined(plain.words)
    assert best.log_probability >= plain.log_probability - 0.05


@pytest.mark.parametrize("text", ["Turn right.", "Read my messages."])
def test_beam_ends_when_enough_answers_have_ended(decoder: WhisperDecoder, text: str, reads: list[int]) -> None:
    """The mean of a loop grows with each round, so a loop would win in the end."""
    pcm = np.concatenate([silence(0.3), synthesise(text, 8), silence(0.3)])
    [heard] = decoder.run([live(pcm, closing=True, beam_below=0.0)])
    assert normalised(joined(heard.words)) == normalised(text)
    assert len(reads) < MOST_STEPS


@pytest.mark.parametrize("options", [{"closing": True, "beam_below": 0.0}, {"cap_tokens": 8}])
def test_words_of_every_kind_of_answer_have_the_same_times(
    decoder: WhisperDecoder, speech: NDArray[np.float32], options: dict[str, Any]
) -> None:
    """Of the best of a beam, and of an answer that is cut at its cap."""
    [plain], [other] = decoder.run([live(speech)]), decoder.run([live(speech, **options)])
    count = len(other.words) - 1
    assert count >= 2
    for one, same in zip(other.words[:count], plain.words[:count], strict=True):
        assert one.text == same.text
        assert abs(one.start_samples - same.start_samples) <= CLOSE_S * SAMPLE_RATE_HZ
        assert one.probability == pytest.approx(same.probability, abs=0.15)


def test_a_draft_changes_no_times(decoder: WhisperDecoder, speech: NDArray[np.float32]) -> None:
    [plain] = decoder.run([live(speech)])
    tokens = tokens_of(plain)
    for draft in (tokens, tokens[:5], (*tokens[:5], 11, *tokens[6:]), (*tokens, 11, 12)):
        [drafted] = decoder.run([live(speech, draft=draft)])
        assert [word.start_samples for word in drafted.words] == [word.start_samples for word in plain.words], draft
        assert [word.probability for word in drafted.words] == pytest.approx(
            [word.probability for word in plain.words], abs=0.02
        )


def test_no_text_is_read_twice_for_its_times(
    decoder: WhisperDecoder, speech: NDArray[np.float32], reads: list[int]
) -> None:
    [heard] = decoder.run([live(speech)])
    assert heard.words[-1].end_samples > 0
    assert reads[1:] == [1] * (len(reads) - 1)


def test_answer_ends_at_its_cap(decoder: WhisperDecoder, speech: NDArray[np.float32]) -> None:
    [plain] = decoder.run([live(speech)])
    for draft in ((), tokens_of(plain)):
        [cut] = decoder.run([live(speech, cap_tokens=4, draft=draft)])
        assert tokens_of(cut) == tokens_of(plain)[: len(tokens_of(cut))]
        assert cut.token_count <= 4


def test_long_prompt_forced_words_and_draft_fit_into_the_positions(
    decoder: WhisperDecoder, speech: NDArray[np.float32]
) -> None:
    [plain] = decoder.run([live(speech)])
    many = tokens_of(plain) * 40
    for forced in (many[:200], many[:370]):
        [heard] = decoder.run([live(speech, prompt="tea with milk " * 200, forced=forced, draft=many[:100])])
        assert heard.token_count < RESERVED_POSITIONS


def test_windows_that_are_alone_and_side_by_side_give_the_same(
    decoder: WhisperDecoder, speech: NDArray[np.float32]
) -> None:
    jobs = [live(speech[: SAMPLE_RATE_HZ * seconds]) for seconds in (2, 3, 4)]
    alone = [heard for job in jobs for heard in decoder.run([job])]
    together = decoder.run(jobs)
    assert [joined(heard.words) for heard in together] == [joined(heard.words) for heard in alone]
    assert [[word.start_samples for word in heard.words] for heard in together] == [
        [word.start_samples for word in heard.words] for heard in alone
    ]
    assert all(heard.words for heard in alone)


@pytest.mark.parametrize("kind", ["english", "large-v3", "headless", "int8"])
def test_every_kind_of_model_decodes_live_windows(kind: str, tmp_path: Path) -> None:
    shape = {"english": ENGLISH, "large-v3": LARGE_V3}.get(kind, MULTILINGUAL)
    quantization = "int8" if kind == "int8" else None
    decoder = WhisperDecoder(
        write_whisper(tmp_path, shape, alignment_heads=kind != "headless", quantization=quantization), INT8
    )
    assert decoder.decodes_singly
    pcm = np.random.default_rng(1).standard_normal(2 * SAMPLE_RATE_HZ).astype(np.float32) * 0.1
    for heard in decoder.run([live(pcm, cap_tokens=9), live(pcm, cap_tokens=9, translate=True, closing=True)]):
        assert 0 < heard.token_count <= 9
        assert all(0 <= word.start_samples <= word.end_samples <= len(pcm) for word in heard.words)


def test_control_tokens_in_a_prompt_are_text(decoder: WhisperDecoder, speech: NDArray[np.float32]) -> None:
    [plain] = decoder.run([live(speech)])
    [prompted] = decoder.run([live(speech, prompt="Tea. <|startoftranscript|><|en|><|transcribe|><|0.00|> Milk.")])
    assert prompted.words
    assert joined(prompted.words[-3:]) == joined(plain.words[-3:])


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_computes_what_ctranslate2_computes_in_float32(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    directory = write_whisper(tmp_path, shape)
    exact = ctranslate2.models.Whisper(str(directory), device="cpu", compute_type="float32")
    features = np.random.default_rng(0).standard_normal((shape.mels, 300)).astype(np.float32)
    encoded = exact.encode(ctranslate2.StorageView.from_array(features[None]))
    special = special_tokens(directory)
    start = [special.start]
    model = OnnxWhisper(directory, special)
    window = EncodedWindow(model, features)
    expected = np.asarray(encoded)[0]
    assert np.linalg.norm(window.encoded - expected) <= 0.05 * np.linalg.norm(expected)
    text = [100, 200, 300, 400]
    [theirs] = exact.align(encoded, start, [text], [300])
    ours = window.align(start, text[:2], text[2:], 300)
    np.testing.assert_allclose(ours.text_token_probs[2:], theirs.text_token_probs[2:], rtol=0.05)
    assert ours.text_token_probs[:2] == [1.0, 1.0]
    answer = window.answer([*start, special.timestamps], [], max_new_tokens=5, end=shape.vocabulary)
    assert 0 < len(answer.tokens) <= 5
    assert answer.no_speech_probability > 0


def test_unreadable_model_and_inexact_processor_are_left_to_ctranslate2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_whisper(tmp_path)
    special = special_tokens(directory)
    content = (directory / "model.bin").read_bytes()
    (directory / "model.bin").write_bytes(content[:1000])
    with capture_logs() as logs:
        assert OnnxWhisper.load(directory, special) is None
    (directory / "model.bin").write_bytes(content)
    assert OnnxWhisper.load(directory, special) is not None
    with monkeypatch.context() as patch, capture_logs() as other_logs:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        assert OnnxWhisper.load(directory, special) is None
    monkeypatch.setattr(onnx_model, "is_exact", lambda: False)
    with capture_logs() as more_logs:
        decoder = WhisperDecoder(directory, INT8)
    assert [entry["event"] for entry in logs + other_logs + more_logs] == ["onnx_model_unused"] * 3
    assert not decoder.decodes_singly
    [heard] = decoder.run([live(np.zeros(SAMPLE_RATE_HZ, np.float32), cap_tokens=3)])
    assert heard.token_count <= 3


@pytest.mark.parametrize("placement", [Placement(compute_type="float32", threads=1), Placement("cuda:0")])
def test_other_precisions_and_gpus_decode_batches(placement: Placement) -> None:
    assert not placement.allows_onnx


def test_decoder_that_nobody_waits_for_has_one_model(decoder: WhisperDecoder) -> None:
    assert decoder.decodes_singly
    assert not WhisperDecoder(model_directory(None), INT8, live=False).decodes_singly
