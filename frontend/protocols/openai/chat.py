"""Chat completions about a recording: requests and responses. Pure.

One recording and the question about it, in the format of OpenAI's, Mistral's and vLLM's clients. Multi-turn
conversations are not supported: a request with an earlier answer in `messages` is rejected.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from frontend.protocols.base64_audio import BASE64, decode_base64
from frontend.protocols.fields import Fields
from frontend.protocols.kinds import whole_number
from frontend.protocols.long_text import LongText
from frontend.protocols.openai.rest import DONE, frame
from frontend.protocols.openai.usage import completion_usage
from frontend.protocols.options import MAX_NEW_TOKENS, MAX_PROMPT_CHARS
from frontend.transcripts.recording import Transcript
from shared.errors import InvalidAudioError, InvalidFieldError, MissingFieldError
from shared.events import Usage
from shared.session_options import Mode, SessionOptions

MAX_MESSAGES: Final = 64
DATA_URL: Final = "data:"
_ASKING: Final = ("system", "developer", "user")
_PARTS: Final = {
    "text": "text {text}",
    "input_audio": "input_audio {input_audio: {data, format} or base64}",
    "audio_url": "audio_url {audio_url: {url}}",
}
"""How each type of part is written."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    options: SessionOptions
    audio: bytes
    """A file."""
    stream: bool
    include_usage: bool
    strict: bool = False
    """Whether a damaged recording is an error."""


def parse_chat(message: dict[str, Any]) -> ChatRequest:
    """Raises MissingFieldError, InvalidFieldError and InvalidAudioError."""
    fields = Fields(message)
    texts, recordings = _contents(message)
    if not recordings:
        raise MissingFieldError(
            "messages contains no audio; it needs a content part of type input_audio or audio_url.", field="messages"
        )
    if len(recordings) > 1:
        raise InvalidFieldError("messages", f"{len(recordings)} recordings", "one recording")
    if message.get("n") not in (None, 1):
        raise InvalidFieldError("n", message["n"], "1")
    prompt = "\n".join(texts)
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidFieldError("messages", prompt, f"at most {MAX_PROMPT_CHARS} characters of text together")
    stream = fields.flag("stream", default=False)
    options = SessionOptions(
        mode=Mode.UNDERSTAND if prompt else Mode.GENERAL,
        prompt=prompt or None,
        words=False,
        partials=stream,
        recording=True,
        model=fields.option("model"),
        max_new_tokens=_limit(message),
        temperature=fields.option("temperature"),
        top_p=fields.option("top_p"),
    )
    return ChatRequest(options, recordings[0], stream, _include_usage(message), fields.flag("strict", False))


def completion(answer_id: str, created: int, answer: Transcript) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text, "refusal": None},
        "logprobs": None,
        "finish_reason": _finish_reason(answer.usage),
    }
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [choice],
        "usage": completion_usage(answer.usage),
        **answer.warned,
    }


class Chunks:
    """The frames of one streamed answer."""

    def __init__(self, answer_id: str, created: int, model: str) -> None:
        self._head = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}

    def role(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""}, None)

    def text(self, added: str) -> bytes:
        return self._chunk({"content": added}, None)

    def end(self, usage: Usage, *, include_usage: bool, warned: Mapping[str, Any] | None = None) -> bytes:
        """The last chunks; the field of `warned` is in the chunk with the `finish_reason`."""
        told = self._frame({"choices": [], "usage": completion_usage(usage)}) if include_usage else b""
        return self._chunk({}, _finish_reason(usage), **(warned or {})) + told + DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._frame({"choices": [choice], **more})

    def _frame(self, body: dict[str, Any]) -> bytes:
        return frame(self._head | body)


def _finish_reason(usage: Usage) -> str:
    return "length" if usage.truncated else "stop"


def _contents(message: dict[str, Any]) -> tuple[list[str], list[bytes]]:
    """All texts and all recordings of the messages."""
    messages = message.get("messages")
    if messages is None:
        raise MissingFieldError("The field messages is missing.", field="messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        raise InvalidFieldError("messages", messages, f"a list of 1 to {MAX_MESSAGES} messages")
    texts: list[str] = []
    recordings: list[bytes] = []
    for one in messages:
        if not isinstance(one, dict) or one.get("role") not in _ASKING:
            role = one.get("role") if isinstance(one, dict) else one
            allowed = f"{', '.join(_ASKING)}: multi-turn conversations are not supported"
            raise InvalidFieldError("messages.role", role, allowed)
        content = one.get("content")
        if not isinstance(content, str | list):
            raise InvalidFieldError("messages.content", content, f"a string, or a list of {', '.join(_PARTS.values())}")
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            _take_part(part, texts, recordings)
    return texts, recordings


def _take_part(part: object, texts: list[str], recordings: list[bytes]) -> None:
    if isinstance(part, dict) and part.get("type") == "UNKNOWN":  # Mistral's SDK wraps types that it does not know
        part = part.get("raw")
    match part:
        case {"type": "text", "text": str(text)}:
            if text:
                texts.append(text)
        case {"type": "input_audio", "input_audio": {"data": (str() | LongText()) as encoded}}:
            recordings.append(_recording(encoded))
        case {"type": "input_audio", "input_audio": (str() | LongText()) as encoded}:
            recordings.append(_recording(encoded))
        case {"type": "audio_url", "audio_url": {"url": (str() | LongText()) as url}}:
            recordings.append(_recording(url, is_url=True))
        case {"type": "audio_url", "audio_url": (str() | LongText()) as url}:
            recordings.append(_recording(url, is_url=True))
        case _:
            kind = part.get("type") if isinstance(part, dict) else part
            if isinstance(kind, str) and kind in _PARTS:
                raise InvalidFieldError("messages.content", f"{kind} without its content", _PARTS[kind])
            raise InvalidFieldError("messages.content", kind, ", ".join(_PARTS.values()))


def _recording(source: str | LongText, *, is_url: bool = False) -> bytes:
    """Base64 or a data URL. Other URLs are not fetched: clients could use the server to reach internal hosts."""
    if isinstance(source, LongText):
        if source.url_head:
            _check_head(source.url_head)
        elif is_url:
            raise _no_data_url()
        if source.audio is None:
            raise InvalidAudioError(f"The audio is not {BASE64}.")
        return source.audio
    if source[:5].lower() == DATA_URL:
        head, _, source = source.partition(",")
        _check_head(head)
    elif is_url or source[:7].lower() == "http://" or source[:8].lower() == "https://":
        raise _no_data_url()
    return decode_base64(source, "The audio")


def _check_head(head: str) -> None:
    if not head.endswith(";base64"):
        raise InvalidFieldError("url", head, "data:audio/wav;base64,… or another audio type in base64")


def _no_data_url() -> InvalidFieldError:
    """Does not repeat the URL: it may hold secrets."""
    return InvalidFieldError("url", "…", "a data: URL with base64; other URLs are not fetched")


def _limit(message: dict[str, Any]) -> int | None:
    """A limit above ours is not an error: no answer is longer."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = message.get(name)
        if value is None:
            continue
        limit = whole_number(value)
        if limit is None or limit < 1:
            raise InvalidFieldError(name, value, "an integer of at least 1")
        return min(limit, MAX_NEW_TOKENS)
    return None


def _include_usage(message: dict[str, Any]) -> bool:
    options = message.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidFieldError("stream_options", options, "an object such as {include_usage: true}")
    return Fields(options).flag("include_usage", default=False)
