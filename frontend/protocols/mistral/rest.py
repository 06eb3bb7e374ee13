"""Mistral's HTTP bodies for transcripts. Pure: no I/O, no form.

Tokens are not counted here, so the counts in `usage` are 0; only `prompt_audio_seconds` is measured (whole seconds,
as its SDK requires, rounded up). `language`, `confidence` and `channel` of a segment and `warnings` are our additions.
"""

import math
from collections.abc import Collection
from typing import Any

import orjson

from frontend.transcripts.channels import channel_of
from frontend.transcripts.recording import Transcript
from voxtral_client.events import Final as Segment


def json_body(transcript: Transcript, granularities: Collection[str]) -> dict[str, Any]:
    """`segments` contains words if words are requested, and is empty if no granularity is."""
    return {
        "model": transcript.model,
        "text": transcript.text,
        "language": transcript.language,
        "segments": [chunk for segment in transcript.segments for chunk in chunks(segment, granularities)],
        "usage": {
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "total_tokens": 0,
            "prompt_audio_seconds": math.ceil(transcript.duration_s),
        },
        **transcript.warned,
    }


def chunks(segment: Segment, granularities: Collection[str]) -> list[dict[str, Any]]:
    if "word" in granularities:
        return [_chunk(one.text, one.start_s, one.end_s, one.confidence) | channel_of(segment) for one in segment.words]
    if "segment" in granularities and segment.text:
        language = {} if segment.language is None else {"language": segment.language}
        return [
            _chunk(segment.text, segment.start_s, segment.end_s, segment.scores.confidence)
            | language
            | channel_of(segment)
        ]
    return []


def added(segment: Segment, text: str, granularities: Collection[str], language: str | None) -> bytes:
    """The events of a stream for a new segment. `language` is given if it differs from the previous one."""
    frames = []
    if language is not None:
        frames.append(event({"type": "transcription.language", "audio_language": language}))
    if text:
        frames.append(event({"type": "transcription.text.delta", "text": text}))
    frames += [event({**chunk, "type": "transcription.segment"}) for chunk in chunks(segment, granularities)]
    return b"".join(frames)


def done(transcript: Transcript, granularities: Collection[str]) -> bytes:
    """The last event; this dialect has no other end."""
    return event({"type": "transcription.done", **json_body(transcript, granularities)})


def event(message: dict[str, Any]) -> bytes:
    """Its SDK needs the type twice."""
    return f"event: {message['type']}\ndata: ".encode() + orjson.dumps(message) + b"\n\n"


def _chunk(text: str, start_s: float, end_s: float, confidence: float | None) -> dict[str, Any]:
    chunk = {"type": "transcription_segment", "text": text, "start": start_s, "end": end_s}
    return chunk if confidence is None else chunk | {"confidence": confidence}
