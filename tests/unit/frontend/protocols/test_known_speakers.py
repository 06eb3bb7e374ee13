"""The option `known_speakers`: what it accepts, and its errors."""

import base64
import json
from typing import Any

import pytest

from frontend.protocols.options import OPTIONS, check_speakers
from shared.errors import InvalidFieldError
from shared.session_options import KnownSpeaker, SessionOptions
from shared.voices import MAX_VOICE_FILE_BYTES, encoded, is_embedding

EMBEDDING = encoded("ge2e", b"\x00\x3c" * 256)


def test_speakers_are_named_with_audio_or_an_embedding() -> None:
    given = [{"name": " Ann ", "audio": "UklGRg=="}, {"name": "Bo", "embedding": EMBEDDING}]
    expected = (KnownSpeaker("Ann", audio=b"RIFF"), KnownSpeaker("Bo", EMBEDDING))
    assert OPTIONS["known_speakers"].parse(given) == expected
    assert OPTIONS["known_speakers"].kind.from_text(json.dumps(given)) == expected
    assert OPTIONS["known_speakers"].parse([]) is None


@pytest.mark.parametrize(
    "given",
    [
        "Ann",
        ["Ann"],
        [{"name": ""}],
        [{"name": "x" * 101}],
        [{"name": "A\nB", "audio": "UklGRg=="}],
        [{"audio": "UklGRg=="}],
        [{"name": "Ann"}],
        [{"name": "Ann", "audio": "UklGRg=="}, {"name": "Ann ", "audio": "UklGRg=="}],
        [{"name": "Ann", "audio": 1}],
        [{"name": "Ann", "audio": ""}],
        [{"name": "Ann", "audio": "UklGRg"}],
        [{"name": "Ann", "audio": "data:audio/wav;base64,UklGRg"}],
        [{"name": "Ann", "audio": "UklGRg==", "embedding": EMBEDDING}],
        [{"name": "Ann", "embedding": "ge2e:SECRET="}],
        [{"name": f"{number}"} for number in range(17)],
    ],
)
def test_other_lists_are_rejected_without_repeating_a_voice(given: Any) -> None:
    with pytest.raises(InvalidFieldError, match="known_speakers is") as found:
        OPTIONS["known_speakers"].parse(given)
    assert "SECRET" not in str(found.value)
    assert "UklGRg" not in str(found.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"embedding": "ge2e:AA=="}, "an embedding as the service has made it"),
        ({"audio": "UklGRg"}, r"a recording of 1 to 10 s as base64 \(A-Z a-z 0-9 \+ /, padded with =\)"),
        ({"audio": base64.b64encode(bytes(MAX_VOICE_FILE_BYTES + 1)).decode()}, "a recording of at most [0-9]+ MB"),
        ({}, "a list of at most 16 objects, .*"),
    ],
)
def test_error_of_a_speaker_says_what_is_wrong(given: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"^known_speakers is 'the voice of Ann'; allowed: {reason}\.$"):
        OPTIONS["known_speakers"].parse([{"name": "Ann", **given}])


def test_known_speakers_need_diarize() -> None:
    known = (KnownSpeaker("Ann", EMBEDDING),)
    check_speakers(SessionOptions(diarize=True, known_speakers=known))
    with pytest.raises(InvalidFieldError, match=r"diarize is .*; allowed: true if known_speakers is given"):
        check_speakers(SessionOptions(known_speakers=known))


@pytest.mark.parametrize("text", ["", "ge2e", "ge2e:", "ge2e:AAA", "ge2e:AA==", "ge 2e:AAAA", "ge2e:" + "A" * 5000])
def test_text_of_another_form_is_no_embedding(text: str) -> None:
    assert not is_embedding(text)
    assert is_embedding(EMBEDDING)
