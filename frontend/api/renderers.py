"""The responses of the HTTP APIs in each dialect: one renderer for OpenAI's clients, one for Mistral's.

Routes produce results and errors. Only the renderers know the dialect of the client.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from starlette.responses import JSONResponse, PlainTextResponse, Response

from frontend.api.speaker_fields import MISTRAL_REFERENCES, REFERENCES
from frontend.protocols.error_statuses import MODEL_NOT_FOUND, status_of
from frontend.protocols.mistral import rest as mistral
from frontend.protocols.openai import rest as openai
from frontend.protocols.openai.rest import Task
from frontend.transcripts.recording import Transcript
from shared.errors import MissingFieldError, VoxtralError
from voxtral_client.events import Final as Segment

Json = dict[str, Any]

INVALID_REQUEST: Final = "invalid_request_error"


class ApiDialect(StrEnum):
    """The API whose client sent a request."""

    OPENAI = "openai"
    MISTRAL = "mistral"


@dataclass(frozen=True, slots=True)
class Format:
    """The format in which a client wants a transcript."""

    task: Task
    granularities: frozenset[str]
    response_format: str = "json"
    temperature: float = 0.0
    logprobs: bool = False
    """Whether the client wants the log probability of each word."""
    diarize: bool = False
    """Whether the client wants the speakers."""

    @property
    def is_json(self) -> bool:
        """Whether a response that is not streamed is JSON."""
        return self.response_format in ("json", "verbose_json", "diarized_json")


NO_LOGPROBS: Final = {
    "code": "logprobs_unavailable",
    "message": "include: logprobs has no effect: this model reports no probabilities.",
}


def note_missing(transcript: Transcript, wanted: Format) -> None:
    """Add a warning if the client wants something that the model has not reported."""
    if wanted.logprobs and transcript.text and not transcript.has_confidence:
        transcript.warnings.append(NO_LOGPROBS)


class ErrorRenderer(Protocol):
    """Errors in the shape of one API."""

    def error_status(self, error: VoxtralError) -> int: ...

    def error_body(self, error: VoxtralError) -> Json:
        """The JSON body, which is also the last event of a stream that has begun."""

    def router_error(self, message: str, code: str | None) -> Json:
        """The body for an address or a method that does not exist."""

    def headers(self, message: str) -> dict[str, str]:
        """The headers of every error."""


class Renderer(ErrorRenderer, Protocol):
    @property
    def dialect(self) -> ApiDialect: ...

    def error_event(self, body: Json) -> bytes:
        """The last server-sent event of a stream that fails; `body` is that of the error."""

    def transcript(self, transcript: Transcript, wanted: Format) -> Response: ...

    def added(self, transcript: Transcript, text: str, language: str | None, wanted: Format) -> bytes:
        """Server-sent events for a new final. `language` is given if it differs from that of the previous final."""

    def spoken(self, segment: Segment, gap: str, wanted: Format) -> bytes:
        """Server-sent events for a final when its speakers are known, after its `added`, if the client wants them.

        `gap` is the space between the text before it and its own.
        """

    def done(self, transcript: Transcript, wanted: Format) -> bytes: ...


class OpenAiRenderer:
    dialect: Final = ApiDialect.OPENAI

    def error_status(self, error: VoxtralError) -> int:
        return status_of(error).status

    def error_body(self, error: VoxtralError) -> Json:
        known = status_of(error)
        error.rename({"known_speakers": REFERENCES})
        return self._body(error.message, known.type, error.field, known.code or error.code)

    def router_error(self, message: str, code: str | None) -> Json:
        return self._body(message, INVALID_REQUEST, None, code)

    def headers(self, message: str) -> dict[str, str]:  # noqa: ARG002
        return {}

    def error_event(self, body: Json) -> bytes:
        return openai.frame(body)

    def transcript(self, transcript: Transcript, wanted: Format) -> Response:
        if wanted.response_format == "json":
            body = openai.json_body(transcript, wanted.task, with_logprobs=wanted.logprobs)
            return JSONResponse(body)
        if wanted.response_format == "diarized_json":
            return JSONResponse(openai.diarized_body(transcript))
        if wanted.response_format == "verbose_json":
            body = openai.verbose_body(transcript, wanted.task, wanted.granularities, wanted.temperature)
            return JSONResponse(body)
        return PlainTextResponse(openai.plain_body(transcript, wanted.response_format))

    def added(self, transcript: Transcript, text: str, language: str | None, wanted: Format) -> bytes:  # noqa: ARG002
        if not text or wanted.response_format == "diarized_json":  # its deltas name their segment, in `spoken`
            return b""
        return openai.delta(transcript, text, with_logprobs=wanted.logprobs)

    def spoken(self, segment: Segment, gap: str, wanted: Format) -> bytes:
        return openai.spoken(segment, gap) if wanted.response_format == "diarized_json" else b""

    def done(self, transcript: Transcript, wanted: Format) -> bytes:
        return openai.done(transcript, with_logprobs=wanted.logprobs)

    @staticmethod
    def _body(message: str, kind: str, param: str | None, code: str | None) -> Json:
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class MistralRenderer:
    dialect: Final = ApiDialect.MISTRAL

    def error_status(self, error: VoxtralError) -> int:
        if error.code == MissingFieldError.code:
            return 422
        return 400 if error.field == "model" else status_of(error).status

    def error_body(self, error: VoxtralError) -> Json:
        known = status_of(error)
        kind = "invalid_model" if known is MODEL_NOT_FOUND else known.type
        error.rename({"known_speakers": MISTRAL_REFERENCES})
        body = self._body(error.message, kind, error.field, known.code or error.code)
        if self.error_status(error) == 422:  # its SDK expects `detail` to be a list
            body["detail"] = [{"loc": ["body", error.field or ""], "msg": error.message, "type": error.code}]
        return body

    def router_error(self, message: str, code: str | None) -> Json:
        return self._body(message, INVALID_REQUEST, None, code)

    def headers(self, message: str) -> dict[str, str]:  # noqa: ARG002
        return {}

    def error_event(self, body: Json) -> bytes:
        return mistral.event({**body, "type": "error"})

    def transcript(self, transcript: Transcript, wanted: Format) -> Response:
        return JSONResponse(mistral.json_body(transcript, wanted.granularities, diarize=wanted.diarize))

    def added(self, transcript: Transcript, text: str, language: str | None, wanted: Format) -> bytes:
        return mistral.added(transcript.segments[-1], text, wanted.granularities, language, diarize=wanted.diarize)

    def spoken(self, segment: Segment, gap: str, wanted: Format) -> bytes:  # noqa: ARG002
        return mistral.segments(segment, wanted.granularities, diarize=True)

    def done(self, transcript: Transcript, wanted: Format) -> bytes:
        return mistral.done(transcript, wanted.granularities, diarize=wanted.diarize)

    @staticmethod
    def _body(message: str, kind: str, param: str | None, code: str | None) -> Json:
        return {"object": "error", "message": message, "type": kind, "param": param, "code": code}


OPENAI: Final = OpenAiRenderer()
MISTRAL: Final = MistralRenderer()
RENDERERS: Final[dict[ApiDialect, Renderer]] = {ApiDialect.OPENAI: OPENAI, ApiDialect.MISTRAL: MISTRAL}
