"""Speech of any level is heard, also over a telephone, and pauses as the network hears them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from tests.speech import SENTENCES, noise, silence, synthesise, telephone
from worker.engines.speech.boundaries import SegmenterSettings
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.levels import AHEAD_WINDOWS, LOUD, SILENT, Levels
from worker.engines.speech.vad import WINDOW_SAMPLES, Memory, SileroVad, VadState, peaks
from worker.engines.whisper.recording import Recording
from worker.engines.whisper.session import Place

LEVELS_DB = (0, -20, -40, -50, -60)


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad()


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """With peaks of full scale."""
    pcm = np.concatenate([silence(0.5), synthesise(SENTENCES[4]), silence(0.8)])
    pcm = pcm[: len(pcm) // WINDOW_SAMPLES * WINDOW_SAMPLES]
    return pcm / np.abs(pcm).max()


def at_level(pcm: NDArray[np.float32], level_db: float) -> NDArray[np.float32]:
    """As 16-bit samples have it."""
    return np.rint(pcm * 10 ** (level_db / 20) * 32767).astype(np.float32) / 32768


def gains(*parts: tuple[float, int], ahead: float = 0.0) -> NDArray[np.float32]:
    """Of windows with these peaks (dBFS), so many of each."""
    heard = np.concatenate([np.full(count, 10 ** (db / 20), np.float32) for db, count in parts])
    return Levels().hear(heard, np.full(AHEAD_WINDOWS, ahead, np.float32) if ahead else None)


def plain_probabilities(vad: SileroVad, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Those of the network, without anything around it."""
    windows = pcm.reshape(-1, WINDOW_SAMPLES)
    frames = np.concatenate([np.vstack([np.zeros((1, 64)), windows[:-1, -64:]]), windows], 1)
    return vad._run(Memory(), frames.astype(np.float32), peaks(pcm))


@pytest.mark.parametrize("level_db", LEVELS_DB)
def test_speech_of_any_level_is_heard(vad: SileroVad, speech: NDArray[np.float32], level_db: float) -> None:
    loud = vad.probabilities(VadState(), speech)
    heard = vad.probabilities(VadState(), at_level(speech, level_db))
    assert np.mean((heard > 0.5) == (loud > 0.5)) > 0.85


def test_loud_wideband_speech_is_heard_as_by_the_network_alone(vad: SileroVad, speech: NDArray[np.float32]) -> None:
    room = noise(2.016, 0.0015, seed=1)
    pcm = np.concatenate([room, 0.3 * speech, room, 0.3 * speech])
    plain = plain_probabilities(vad, pcm)
    heard = vad.probabilities(VadState(), pcm)
    first = int(np.argmax(peaks(pcm) >= LOUD))
    assert np.array_equal(heard[first:], plain[first:])
    assert heard[:first].max() < 0.5
    assert np.array_equal(vad.probabilities(VadState(), pcm, speech), plain), "of a recording, it is known beforehand"


@pytest.mark.parametrize("text", ["Seven of hearts.", "Queen of spades.", "Four, queen of clubs.", SENTENCES[3]])
def test_loud_speech_over_a_telephone_is_heard(vad: SileroVad, text: str) -> None:
    pcm = np.concatenate([silence(0.512), synthesise(text), silence(0.512)])
    pcm = pcm[: len(pcm) // WINDOW_SAMPLES * WINDOW_SAMPLES]
    spoken = vad.probabilities(VadState(), pcm) > 0.5
    narrow = telephone(pcm)
    narrow /= np.abs(narrow).max()
    plain, heard = plain_probabilities(vad, narrow), vad.probabilities(VadState(), narrow)
    assert np.mean(heard[spoken] > 0.5) > np.mean(plain[spoken] > 0.5) + 0.1
    assert heard[~spoken].max() < 0.5


def test_probabilities_do_not_depend_on_how_audio_was_cut(vad: SileroVad, speech: NDArray[np.float32]) -> None:
    pcm = np.concatenate([at_level(speech, -50), speech, at_level(speech, -50)])
    whole, state = vad.probabilities(VadState(), pcm), VadState()
    cut = [vad.probabilities(state, pcm[at : at + 7 * 512]) for at in range(0, len(pcm), 7 * 512)]
    assert np.allclose(np.concatenate(cut), whole, atol=1e-6)


@pytest.mark.parametrize("quiet", [noise(3.2, 0.0003), np.sign(noise(3.2)) / 32768, silence(3.2)])
def test_quiet_noise_is_no_speech(vad: SileroVad, quiet: NDArray[np.float32]) -> None:
    assert vad.probabilities(VadState(), quiet.astype(np.float32)).max() < 0.3


def test_level_decides_the_gain() -> None:
    assert gains((-36, 50)).tolist() == [1.0] * 50
    assert gains((-50, 50)) == pytest.approx(LOUD / 10 ** (-50 / 20))
    assert gains((20 * np.log10(SILENT) - 1, 50)).tolist() == [0.0] * 50


def test_gain_falls_at_once_and_rises_slowly() -> None:
    found = gains((-50, 20), (-10, 10), (-50, 1000))
    assert found[19] > 1
    assert set(found[20:400]) == {1.0}, "10 dB above the limit are gone in 13 s"
    assert found[-1] == pytest.approx(LOUD / 10 ** (-50 / 20), rel=0.01)


def test_click_is_forgotten_soon() -> None:
    found = gains((-50, 20), (-3, 2), (-50, 40))
    assert found[21] == 1.0
    assert found[40] > 4


def test_recording_has_the_gain_of_what_comes() -> None:
    assert gains((-50, 50), ahead=0.5).tolist() == [1.0] * 50


def test_recording_waits_for_what_comes() -> None:
    session = Recording(SessionOptions(recording=True), ("en",), Place())
    session.endpointing.audio.append(silence(8.2))
    assert session.unheard(100) is None
    session.endpointing.audio.append(silence(0.32))
    pcm = session.unheard(100)
    assert pcm is not None
    assert len(pcm) == 10 * WINDOW_SAMPLES
    assert len(session.ahead(len(pcm))) == AHEAD_WINDOWS * WINDOW_SAMPLES
    session.endpointing.finish()
    rest = session.unheard(1000)
    assert rest is not None
    assert len(rest) == 266 * WINDOW_SAMPLES


def test_new_owner_knows_the_level_by_what_was_heard_before() -> None:
    endpointing = Endpointing(SegmenterSettings(), 32_000)
    endpointing.audio = type(endpointing.audio)(0)
    endpointing.audio.append(np.concatenate([noise(2.0, 0.1), noise(1.0, 0.002)]))
    quiet = endpointing.unheard(31)
    assert set(endpointing.vad_state.levels.hear(peaks(quiet))) == {1.0}
