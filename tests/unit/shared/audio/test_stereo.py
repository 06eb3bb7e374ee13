"""Two channels as one: the mean, unless one of them is dead or the negative of the other."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.audio.live import LiveAudio
from shared.audio.pcm import AudioFormat
from shared.audio.stereo import Fault, StereoMix
from tests.speech import noise, silence

RATE_HZ = 16_000
VOICE = noise(2.0, 0.1, seed=1)
OTHER = noise(2.0, 0.1, seed=2)


def mixed(
    left: NDArray[np.float32], right: NDArray[np.float32], size: int = 1000
) -> tuple[NDArray[np.float32], StereoMix]:
    mix = StereoMix(RATE_HZ)
    frames = np.stack([left, right], axis=1)
    return np.concatenate([mix.feed(frames[at : at + size]) for at in range(0, len(frames), size)]), mix


def level(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


@pytest.mark.parametrize(("left", "right", "channel"), [(VOICE, -VOICE, 0), (VOICE / 2, -VOICE, 1)])
def test_inverted_polarity_does_not_silence_the_voice(
    left: NDArray[np.float32], right: NDArray[np.float32], channel: int
) -> None:
    mono, mix = mixed(left, right)
    assert (mix.fault, mix.channel) == (Fault.INVERTED, channel)
    assert np.array_equal(mono[RATE_HZ // 50 :], (left, right)[channel][RATE_HZ // 50 :])


@pytest.mark.parametrize("channel", [0, 1])
def test_dead_channel_does_not_halve_the_voice(channel: int) -> None:
    channels = [silence(2.0), silence(2.0)]
    channels[channel] = VOICE
    mono, mix = mixed(*channels)
    assert (mix.fault, mix.channel) == (Fault.DEAD, channel)
    assert np.array_equal(mono[RATE_HZ // 50 :], VOICE[RATE_HZ // 50 :])


@pytest.mark.parametrize("right", [VOICE, OTHER, VOICE * 0.1, -OTHER, 0.7 * VOICE + 0.3 * OTHER])
def test_all_else_is_the_mean(right: NDArray[np.float32]) -> None:
    mono, mix = mixed(VOICE, right)
    assert mix.fault is None
    assert np.array_equal(mono, (VOICE + right) / 2)


def test_speakers_on_two_channels_take_turns() -> None:
    left = np.concatenate([VOICE, silence(2.0), VOICE])
    right = np.concatenate([silence(2.0), OTHER, OTHER])
    mono, mix = mixed(left, right)
    assert mix.fault is None
    for number, own in enumerate((VOICE, OTHER, (VOICE + OTHER) / 2)):
        part = mono[number * len(VOICE) : (number + 1) * len(VOICE)]
        assert level(part[RATE_HZ // 50 :]) == pytest.approx(level(own), rel=0.02)
        assert level(part[:RATE_HZ] - own[:RATE_HZ]) < 0.2 * level(own), "at most one block is lost"


def test_a_pause_does_not_change_what_is_heard() -> None:
    room = noise(2.0, 0.0005, seed=3)
    left = np.concatenate([VOICE, room, VOICE])
    right = np.concatenate([-VOICE, noise(2.0, 0.0005, seed=4), -VOICE])
    mono, mix = mixed(left, right)
    assert mix.fault is Fault.INVERTED
    assert np.array_equal(mono[RATE_HZ // 50 :], left[RATE_HZ // 50 :])


def test_result_does_not_depend_on_chunks() -> None:
    left, right = np.concatenate([VOICE, OTHER]), np.concatenate([-VOICE, VOICE])
    whole, _ = mixed(left, right, len(left))
    for size in (1, 319, 4096):
        assert np.array_equal(
            mixed(left[: 9000 if size == 1 else None], right[: 9000 if size == 1 else None], size)[0],
            whole[: 9000 if size == 1 else None],
        )


@pytest.mark.parametrize(
    ("sign", "code", "said"), [(-1, "channels_inverted", "only the left one"), (0, "channels_dead", "is silent")]
)
def test_client_is_warned_once(sign: int, code: str, said: str) -> None:
    frames = np.stack([VOICE, sign * VOICE], axis=1)
    content = (frames * 32767).astype("<i2").tobytes()
    audio = LiveAudio(AudioFormat("pcm_s16le", RATE_HZ, 2))
    told = []
    for at in range(0, len(content), 4000):
        audio.feed(content[at : at + 4000])
        told += audio.take_warnings()
    [(told_code, message)] = told
    assert told_code == code
    assert said in message
