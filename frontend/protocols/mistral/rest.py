"""Mistral's HTTP bodies for transcripts. Pure: no I/O, no form.

The counts of tokens in `usage` are 0 if the engine counts none. `prompt_audio_seconds` are whole seconds, rounded up,
as its SDK requires. `language`, `confidence` and `channel` of a segment and `warnings` are our additions.
"""

import math
from collections.abc import Collection
from typing import Any

import orjson

from frontend.protocols.openai.usage import completion_usage
from frontend.transcripts.channels import channel_of
from frontend.transcripts.recording import Transcript
from frontend.transcripts.turns import Turn, turns
from shared.events import Usage
from voxtral_client.events import Final as Segment


def json_body(transcript: Transcript, granularities: Collection[str], *, diarize: bool = False) -> dict[str, Any]:
    """`segments` contains words if words are requested, and is empty if neither a granularity nor speakers are."""
    return {
        "model": transcript.model,
        "text": transcript.text,
        "language": transcript.language,
        "segments": [
            chunk for segment in transcript.segments for chunk in chunks(segment, granularities, diarize=diarize)
        ],
        "usage": usage(transcript.usage, transcript.duration_s),
        **transcript.warned,
    }


def usage(counted: Usage, duration_s: float) -> dict[str, int]:
    """Its clients accept only whole numbers."""
    return completion_usage(counted) | {"prompt_audio_seconds": math.ceil(duration_s)}


def chunks(segment: Segment, granularities: Collection[str], *, diarize: bool = False) -> list[dict[str, Any]]:
    """With speakers, a segment is split into the turns of each."""
    if "word" in granularities:
        return [
            _chunk(word.text, word.start_s, word.end_s, word.confidence)
            | channel_of(segment)
            | speaker_id(word.speaker)
            for word in segment.words
        ]
    if ("segment" not in granularities and not diarize) or not segment.text:
        return []
    about = ({} if segment.language is None else {"language": segment.language}) | channel_of(segment)
    if not diarize:
        return [_chunk(segment.text, segment.start_s, segment.end_s, segment.scores.confidence) | about]
    return [
        _chunk(turn.text, turn.start_s, turn.end_s, _confidence(turn, segment)) | about | speaker_id(turn.speaker)
        for turn in turns(segment)
        if turn.text
    ]


def added(
    segment: Segment, text: str, granularities: Collection[str], language: str | None, *, diarize: bool = False
) -> bytes:
    """The events of a stream for a new segment. `language` is given if it differs from the previous one.

    With `diarize`, its `segments` follow when its speakers are known.
    """
    frames = []
    if language is not None:
        frames.append(event({"type": "transcription.language", "audio_language": language}))
    if text:
        frames.append(event({"type": "transcription.text.delta", "text": text}))
    return b"".join(frames) + (b"" if diarize else segments(segment, granularities))


def segments(segment: Segment, granularities: Collection[str], *, diarize: bool = False) -> bytes:
    found = chunks(segment, granularities, diarize=diarize)
    return b"".join(event({**chunk, "type": "transcription.segment"}) for chunk in found)


def done(transcript: Transcript, granularities: Collection[str], *, diarize: bool = False) -> bytes:
    """The last event; this dialect has no other end."""
    return event({"type": "transcription.done", **json_body(transcript, granularities, diarize=diarize)})


def event(message: dict[str, Any]) -> bytes:
    """Its SDK needs the type twice."""
    return f"event: {message['type']}\ndata: ".encode() + orjson.dumps(message) + b"\n\n"


def speaker_id(speaker: str | None) -> dict[str, str]:
    """The field of a chunk; no field if the speaker is not known."""
    return {} if speaker is None else {"speaker_id": speaker}


def _confidence(turn: Turn, segment: Segment) -> float | None:
    """Of a whole segment. That of a part is the mean over its words."""
    if len(turn.text) == len(segment.text):
        return segment.scores.confidence
    known = [word.confidence for word in segment.words if turn.start_s <= word.start_s < turn.end_s]
    given = [confidence for confidence in known if confidence is not None]
    return round(sum(given) / len(given), 4) if given else None


def _chunk(text: str, start_s: float, end_s: float, confidence: float | None) -> dict[str, Any]:
    chunk = {"type": "transcription_segment", "text": text, "start": start_s, "end": end_s}
    return chunk if confidence is None else chunk | {"confidence": confidence}
