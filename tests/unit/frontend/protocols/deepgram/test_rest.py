"""Deepgram's body for the transcript of a recording, against the model of its own SDK."""

from typing import Any

from deepgram.types.listen_v1response import ListenV1Response

from frontend.protocols.deepgram.parameters import query_of
from frontend.protocols.deepgram.query import recording
from frontend.protocols.deepgram.rest import json_body
from frontend.transcripts.recording import Transcript
from shared.session_options import SessionOptions

ABOUT = {"request_id": "r1", "sha256": "0", "created": "2026-11-29T09:00:00.000Z"}


def final(number: int, text: str, **more: Any) -> dict[str, Any]:
    words = [{"text": text, "start": number, "end": number + 0.5, "confidence": 0.9, "speaker": "AB"[number % 2]}]
    times = {"start": float(number), "end": number + 1.0}
    return {"type": "final", "seq": number, "segment": number, "text": text, **times, "words": words, **more}


def test_each_channel_has_its_transcript() -> None:
    transcript = Transcript("echo")
    for event in (
        final(0, "Hello.", channel=0),
        final(1, "Hi!", channel=1, language="en"),
        final(2, "Bye.", channel=0),
    ):
        transcript.take(event)
    transcript.take({"type": "done", "duration": 3.0})
    body = json_body(transcript, ABOUT, detects=True, utterances=True, paragraphs=True)
    parsed = ListenV1Response(**body)
    first, second = [channel.alternatives[0] for channel in parsed.results.channels]
    assert (first.transcript, second.transcript) == ("Hello. Bye.", "Hi!")
    assert [word.speaker for word in (*first.words, *second.words)] == [0, 0, 1]
    assert [one.sentences[0].text for one in first.paragraphs.paragraphs] == ["Hello.", "Bye."]
    assert [(one.channel, one.transcript) for one in parsed.results.utterances] == [
        (0, "Hello."),
        (1, "Hi!"),
        (0, "Bye."),
    ]
    assert body["results"]["channels"][1]["detected_language"] == "en"
    assert (parsed.metadata.channels, parsed.metadata.duration) == (2, 3.0)


def test_each_speaker_of_a_segment_has_an_utterance_and_a_paragraph() -> None:
    transcript = Transcript("echo")
    times = [{"start": at / 2, "end": at / 2 + 0.5} for at in range(4)]
    said = zip(("How", "are", "you?", "Fine."), "AAAB", times, strict=True)
    words = [{"text": text, "speaker": speaker, **time} for text, speaker, time in said]
    transcript.take(final(0, "How are you? Fine.", end=2.5, words=words, speaker="A"))
    results = ListenV1Response(**json_body(transcript, ABOUT, utterances=True, paragraphs=True)).results
    turns = [(one.start, one.end, one.speaker, one.transcript) for one in results.utterances]
    assert turns == [(0.0, 1.5, 0, "How are you?"), (1.5, 2.5, 1, "Fine.")]
    assert [[word.speaker for word in one.words] for one in results.utterances] == [[0, 0, 0], [1]]
    paragraphs = results.channels[0].alternatives[0].paragraphs.paragraphs
    assert [(one.start, one.end, one.speaker, one.sentences[0].text) for one in paragraphs] == turns


def test_silence_has_an_empty_transcript() -> None:
    transcript = Transcript("echo")
    body = json_body(transcript, ABOUT)
    said = body["results"]["channels"][0]["alternatives"][0]
    assert said == {"transcript": "", "confidence": 0.0, "words": []}
    assert "utterances" not in body["results"]


def test_a_recording_has_no_turns_and_at_most_four_channels() -> None:
    assert recording(query_of([("multichannel", "true")])) == SessionOptions(partials=False, recording=True, channels=4)
