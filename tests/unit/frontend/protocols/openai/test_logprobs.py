"""Log probabilities in OpenAI's form: recordings, streams and live turns."""

import math
from typing import Any

import orjson
import pytest

from frontend.api.renderers import OPENAI, Format, note_missing
from frontend.protocols.openai.logprobs import logprobs
from frontend.transcripts.recording import Transcript
from tests.unit.frontend.protocols.openai.openai_wire import Wire, connected
from voxtral_client.parts import Word

LOGPROBS = "item.input_audio_transcription.logprobs"
WANTED = Format("transcribe", frozenset(), logprobs=True)


def final(text: str, *confidences: float | None, segment: int = 0) -> dict[str, Any]:
    words = [
        {"text": word, "start": at, "end": at + 1} | ({} if confidence is None else {"confidence": confidence})
        for at, (word, confidence) in enumerate(zip(text.split(), confidences, strict=True))
    ]
    return {"type": "final", "seq": 2, "segment": segment, "text": text, "start": 0.0, "end": 1.0, "words": words}


def transcript(*finals: dict[str, Any]) -> Transcript:
    made = Transcript("whisper-base")
    for one in finals:
        made.take(one)
    return made


def test_tokens_joined_are_the_text() -> None:
    words = [Word("Good", 0, 1, 1.0), Word("morning.", 1, 2, 0.5)]
    found = logprobs("Good morning.", words, before="Hi.")
    assert "".join(token["token"] for token in found) == " Good morning."
    assert [token["logprob"] for token in found] == [0.0, round(math.log(0.5), 4)]
    assert bytes(found[0]["bytes"]).decode() == " Good"


def test_a_word_that_is_impossible_has_a_finite_logprob() -> None:
    assert logprobs("No", [Word("No", 0, 1, 0.0)])[0]["logprob"] == round(math.log(0.0001), 4)


def test_recordings_have_logprobs_of_all_segments() -> None:
    spoken = transcript(final("Good morning.", 0.9, 0.8), final("Hello.", 0.7, segment=1))
    body = orjson.loads(OPENAI.transcript(spoken, WANTED).body)
    assert [token["token"] for token in body["logprobs"]] == ["Good", " morning.", " Hello."]
    assert "logprobs" not in orjson.loads(OPENAI.transcript(spoken, Format("transcribe", frozenset())).body)
    event = orjson.loads(OPENAI.added(spoken, " Hello.", None, WANTED).removeprefix(b"data: "))
    assert [token["token"] for token in event["logprobs"]] == [" Hello."]
    assert b'"logprobs":[{"token":"Good"' in OPENAI.done(spoken, WANTED)


@pytest.mark.parametrize(("confidence", "codes"), [(0.9, []), (None, ["logprobs_unavailable"])])
def test_a_model_without_probabilities_is_reported(confidence: float | None, codes: list[str]) -> None:
    spoken = transcript(final("Hello.", confidence))
    note_missing(spoken, WANTED)
    body = orjson.loads(OPENAI.transcript(spoken, WANTED).body)
    assert [warning["code"] for warning in body.get("warnings", [])] == codes
    assert ("logprobs" in body) is (confidence is not None)


def test_verbose_body_has_what_the_model_reports() -> None:
    spoken = transcript(
        final("Good day.", 0.9, 0.8) | {"confidence": 0.85, "avg_logprob": -0.25, "no_speech_prob": 0.02}
    )
    wanted = Format("transcribe", frozenset({"segment", "word"}), "verbose_json")
    body = orjson.loads(OPENAI.transcript(spoken, wanted).body)
    [segment] = body["segments"]
    assert (segment["avg_logprob"], segment["no_speech_prob"], segment["confidence"]) == (-0.25, 0.02, 0.85)
    assert [word["confidence"] for word in body["words"]] == [0.9, 0.8]


def included(wire: Wire, include: list[str] | None) -> None:
    wire.tell(type="session.update", session={"type": "transcription", "include": include})


def test_live_turns_have_logprobs_if_they_are_included() -> None:
    wire = connected()
    included(wire, [LOGPROBS])
    wire.append(1000)
    assert wire.dialect._config.options(None).words  # type: ignore[attr-defined]
    wire.commit()
    wire.say(**final("Good morning.", 0.9, 0.5))
    wire.say(**final("Hello.", 0.7, segment=1))
    [done] = wire.say(type="committed", end=1.0)
    assert [token["token"] for token in done["logprobs"]] == ["Good", " morning.", " Hello."]
    included(wire, None)
    assert not wire.dialect._config.options(None).words  # type: ignore[attr-defined]


def test_live_turns_have_none_if_the_model_reports_none() -> None:
    wire = connected()
    included(wire, [LOGPROBS])
    wire.append(1000)
    wire.commit()
    wire.say(**final("Hello.", None))
    assert "logprobs" not in wire.say(type="committed", end=1.0)[0]
