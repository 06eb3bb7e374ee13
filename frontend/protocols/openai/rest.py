"""OpenAI's HTTP bodies for transcripts and translations. Pure: no I/O, no form.

Fields that their format requires and no model here reports are derived: `seek` from the segment's start, and
`compression_ratio` from its text. `avg_logprob` and `no_speech_prob` are 0 if the engine does not report them, and
`tokens` is empty: the engine's tokens are internal. `usage` counts tokens if the engine does. `language` of segments,
`confidence`, `channel` and `speaker` of segments and words, and `warnings` are our additions.
"""

import zlib
from collections.abc import Collection, Iterable
from typing import Any, Final, Literal

import orjson

from frontend.protocols.languages import NAMES
from frontend.protocols.openai.logprobs import logprobs_of
from frontend.protocols.openai.usage import token_usage
from frontend.transcripts.channels import channel_of, is_dialogue, plain_text
from frontend.transcripts.recording import Transcript
from frontend.transcripts.subtitles import srt, vtt
from frontend.transcripts.turns import has_speakers, label, turns
from voxtral_client.events import Final as Segment
from voxtral_client.parts import speaker_fields

SEEK_HZ: Final = 100
"""`seek` counts frames of 10 ms."""
DONE: Final = b"data: [DONE]\n\n"

Task = Literal["transcribe", "translate"]


def json_body(transcript: Transcript, task: Task, *, with_logprobs: bool = False) -> dict[str, Any]:
    if task == "translate":
        return {"text": transcript.text, **transcript.warned}
    heard = languages(transcript.languages)
    body = {"text": transcript.text, "languages": heard, "usage": _usage(transcript), **transcript.warned}
    return body | (_logprobs(transcript) if with_logprobs else {})


def verbose_body(
    transcript: Transcript, task: Task, granularities: Collection[str], temperature: float
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "task": task,
        "language": _spoken(transcript.language, task),
        "duration": transcript.duration_s,
        "text": transcript.text,
    }
    if "segment" in granularities:
        spoken = [segment for segment in transcript.segments if segment.text]
        body["segments"] = [_segment(number, segment, task, temperature) for number, segment in enumerate(spoken)]
    if "word" in granularities:
        body["words"] = [
            {"word": word.text, "start": word.start_s, "end": word.end_s, **channel_of(segment)}
            | _confidence(word.confidence)
            | speaker_fields(word)
            for segment in transcript.segments
            for word in segment.words
        ]
    body |= transcript.warned
    return body if task == "translate" else body | {"usage": _duration(transcript)}


def diarized_body(transcript: Transcript) -> dict[str, Any]:
    """`diarized_json`: a segment for each turn of a speaker."""
    return {
        "task": "transcribe",
        "duration": transcript.duration_s,
        "text": transcript.text,
        "segments": [turn for segment in transcript.segments for turn in _turns(segment)],
        "usage": _usage(transcript),
        **transcript.warned,
    }


def plain_body(transcript: Transcript, text_format: str) -> str:
    """`text`, `srt` or `vtt`."""
    if text_format == "text":
        is_labelled = is_dialogue(transcript.segments) or has_speakers(transcript.segments)
        return plain_text(transcript.segments) if is_labelled else f"{transcript.text}\n"
    return (srt if text_format == "srt" else vtt)(transcript.segments)


def delta(transcript: Transcript, text: str, *, with_logprobs: bool = False) -> bytes:
    """The text that the last segment has added."""
    message: dict[str, Any] = {"type": "transcript.text.delta", "delta": text}
    if with_logprobs:
        segment = transcript.segments[-1]
        before = transcript.text[: -len(segment.text)].rstrip()
        message |= _given(logprobs_of(segment.text, segment.words, segment.word_confidences, before))
    return frame(message)


def spoken(segment: Segment, gap: str) -> bytes:
    """The deltas and the segments of a stream of `diarized_json` for one final. `gap` precedes its text."""
    frames, at = b"", 0
    for turn in _turns(segment):
        end = segment.text.index(turn["text"], at) + len(turn["text"])
        delta = {"delta": (gap if at == 0 else "") + segment.text[at:end], "segment_id": turn["id"]}
        frames += frame({"type": "transcript.text.delta", **delta}) + frame(turn)
        at = end
    return frames


def done(transcript: Transcript, *, with_logprobs: bool = False) -> bytes:
    """The last event and the end of the stream. It has `usage` if tokens are counted."""
    told = {"text": transcript.text, "languages": languages(transcript.languages), **transcript.warned}
    if transcript.has_usage:
        told["usage"] = token_usage(transcript.usage)
    if with_logprobs:
        told |= _logprobs(transcript)
    return frame({"type": "transcript.text.done", **told}) + DONE


def frame(message: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(message) + b"\n\n"


def languages(codes: Iterable[str]) -> list[dict[str, str]]:
    """The detected languages."""
    return [{"code": code} for code in codes]


def language_name(code: str | None) -> str:
    """`english` for `en`; a code without a known name is returned unchanged, and `unknown` if none was detected."""
    return "unknown" if code is None else NAMES.get(code, code)


def _segment(number: int, segment: Segment, task: Task, temperature: float) -> dict[str, Any]:
    encoded = segment.text.encode()
    return {
        "id": number,
        "seek": round(segment.start_s * SEEK_HZ),
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "language": _spoken(segment.language, task),
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": segment.scores.avg_logprob or 0.0,
        "compression_ratio": round(len(encoded) / len(zlib.compress(encoded)), 3),
        "no_speech_prob": segment.scores.no_speech_prob or 0.0,
        **_confidence(segment.scores.confidence),
        **channel_of(segment),
        **speaker_fields(segment),
    }


def _turns(segment: Segment) -> list[dict[str, Any]]:
    spoken = [turn for turn in turns(segment) if turn.text]
    return [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{segment.segment}_{number}",
            "start": turn.start_s,
            "end": turn.end_s,
            "text": turn.text,
            "speaker": label(turn),
            **channel_of(segment),
        }
        for number, turn in enumerate(spoken)
    ]


def _logprobs(transcript: Transcript) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    before = ""
    for segment in transcript.segments:
        if segment.text:
            found += logprobs_of(segment.text, segment.words, segment.word_confidences, before)
            before = segment.text
    return _given(found)


def _given(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The field, which is absent if the engine reports no probabilities."""
    return {"logprobs": found} if found else {}


def _confidence(value: float | None) -> dict[str, float]:
    return {} if value is None else {"confidence": value}


def _spoken(code: str | None, task: Task) -> str:
    return "english" if task == "translate" else language_name(code)


def _usage(transcript: Transcript) -> dict[str, Any]:
    """Tokens and the duration, or only the duration if the engine counts no tokens."""
    return _duration(transcript) | (token_usage(transcript.usage) if transcript.has_usage else {})


def _duration(transcript: Transcript) -> dict[str, Any]:
    """All that OpenAI has in `verbose_json`."""
    return {"type": "duration", "seconds": transcript.duration_s}
