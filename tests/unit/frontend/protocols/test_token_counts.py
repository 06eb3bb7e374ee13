"""Counts of tokens, log probabilities of untimed words, and revised texts, in the answers of every API."""

from math import log
from typing import Any

import pytest

from frontend.protocols.mistral import rest as mistral_rest
from frontend.protocols.openai import rest as openai_rest
from frontend.protocols.openai.turns import Turns
from frontend.transcripts.recording import Transcript
from tests.unit.frontend.protocols.test_vllm import connected

COUNTED = {"prompt_tokens": 380, "completion_tokens": 2, "truncated": False}


def final(segment: int, text: str, **fields: Any) -> dict[str, Any]:
    place = {"seq": segment, "segment": segment, "start": float(segment), "end": segment + 0.5}
    return {"type": "final", "text": text, **place, **fields}


def transcript(*events: dict[str, Any]) -> Transcript:
    taken = Transcript("voxtral")
    for event in events:
        taken.take(event)
    taken.take({"type": "done", "text": "", "duration": 2.0})
    return taken


def test_tokens_of_recordings_are_counted() -> None:
    whole = transcript(final(0, "Guten", usage=COUNTED), final(1, "Tag.", usage=COUNTED))
    tokens = {"type": "tokens", "input_tokens": 760, "output_tokens": 4, "total_tokens": 764}
    assert openai_rest.json_body(whole, "transcribe")["usage"] == tokens | {"seconds": 2.0}
    assert openai_rest.verbose_body(whole, "transcribe", (), 0)["usage"] == {"type": "duration", "seconds": 2.0}
    assert b'"usage":{"type":"tokens","input_tokens":760' in openai_rest.done(whole)
    usage = mistral_rest.json_body(whole, ())["usage"]
    assert usage == {"prompt_tokens": 760, "completion_tokens": 4, "total_tokens": 764, "prompt_audio_seconds": 2}


def test_models_without_tokens_have_a_duration() -> None:
    whole = transcript(final(0, "Guten"))
    assert openai_rest.json_body(whole, "transcribe")["usage"] == {"type": "duration", "seconds": 2.0}
    assert b"usage" not in openai_rest.done(whole)


def test_tokens_of_live_turns_are_counted() -> None:
    turns = Turns()
    events = [event for at in range(2) for event in turns.take(final(at, "Hi.", usage=COUNTED), detects=True)]
    completed = [event for event in events if event["type"].endswith("completed")]
    tokens = {"type": "tokens", "input_tokens": 380, "output_tokens": 2, "total_tokens": 382}
    assert [event["usage"] for event in completed] == [tokens | {"seconds": 0.5}] * 2


def test_vllm_counts_what_the_model_does() -> None:
    wire = connected()
    wire.tell_chunk()
    wire.commit(final=True)
    for segment in range(2):
        wire.say(**final(segment, "Hello there.", usage=COUNTED))
    [done] = wire.say(type="done", text="", duration=0.1)
    assert done["usage"] == {"prompt_tokens": 760, "completion_tokens": 4, "total_tokens": 764}


def test_words_without_times_have_log_probabilities() -> None:
    whole = transcript(final(0, "Guten", word_confidences=[0.5]), final(1, "Tag, du!", word_confidences=[0.25, 1.0]))
    body = openai_rest.json_body(whole, "transcribe", with_logprobs=True)
    assert [token["token"] for token in body["logprobs"]] == ["Guten", " Tag,", " du!"]
    assert [token["logprob"] for token in body["logprobs"]] == pytest.approx([log(0.5), log(0.25), 0], abs=1e-3)
    assert whole.has_confidence


def test_revised_text_replaces_that_of_its_final() -> None:
    revised = {"type": "revised", "pending": 0, "language": "de", "confidence": 0.75, "words": []}
    whole = transcript(final(0, "Gute"), final(1, "Tag."), final(0, "Guten") | revised | {"seq": 9})
    assert (whole.text, [segment.text for segment in whole.segments]) == ("Guten Tag.", ["Guten", "Tag."])
    assert (whole.segments[0].seq, whole.segments[0].scores.confidence) == (0, 0.75)
    assert openai_rest.json_body(whole, "transcribe")["text"] == "Guten Tag."
