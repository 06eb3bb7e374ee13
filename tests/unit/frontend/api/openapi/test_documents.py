"""The documented schemas describe the bodies that the renderers write."""

from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from frontend.api.openapi.documents import TRANSCRIPTIONS
from frontend.api.openapi.schemas import NAMED_SCHEMA
from frontend.api.renderers import MISTRAL, OPENAI, Format, Renderer
from frontend.transcripts.recording import Transcript

TRANSCRIPTION = TRANSCRIPTIONS["responses"][200]["content"]["application/json"]["schema"]
GRANULARITIES = frozenset({"segment", "word"})


def transcript(*, with_tokens: bool) -> Transcript:
    """With all that an engine may report."""
    word = {"text": "Hello.", "start": 0.1, "end": 0.5, "confidence": 0.9, "speaker": "A"}
    made = Transcript("whisper-base")
    for channel in range(2):
        final = {"type": "final", "seq": channel, "segment": channel, "text": "Hello.", "start": 0.0, "end": 1.0}
        final |= {"language": "en", "confidence": 0.9, "speaker": "A", "channel": channel, "words": [word]}
        usage = {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "truncated": False}}
        made.take(final | (usage if with_tokens else {}))
    made.take({"type": "done", "seq": 2, "duration": 1.0})
    made.warnings.append({"code": "damaged", "message": "The recording is damaged.", "start": 0.5})
    return made


def closed(node: Any) -> Any:
    """Named schemas in the places of their references, without fields that are not documented."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    if NAMED_SCHEMA in node:
        return closed(node[NAMED_SCHEMA]) | {"additionalProperties": False}
    return {name: closed(one) for name, one in node.items()}


@pytest.mark.parametrize(
    ("renderer", "response_format"),
    [(OPENAI, "json"), (OPENAI, "verbose_json"), (OPENAI, "diarized_json"), (MISTRAL, "json")],
)
@pytest.mark.parametrize("with_tokens", [True, False])
def test_a_transcript_is_as_documented(renderer: Renderer, response_format: str, with_tokens: bool) -> None:
    wanted = Format("transcribe", GRANULARITIES, response_format, logprobs=True, diarize=True)
    body = orjson.loads(renderer.transcript(transcript(with_tokens=with_tokens), wanted).body)
    Draft202012Validator(closed(TRANSCRIPTION)).validate(body)
