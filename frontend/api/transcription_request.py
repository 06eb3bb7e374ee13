"""Parses the form of an upload, with OpenAI's field names and with Mistral's."""

import io
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from frontend.api.renderers import MISTRAL, OPENAI, Format, Renderer
from frontend.api.upload_form import TEMPERATURE, URLENCODED, Form
from frontend.protocols.openai.rest import Task
from shared.errors import InvalidFieldError
from shared.events import Mode, SessionOptions

FORMATS: Final = ("json", "text", "srt", "vtt", "verbose_json")
STREAMED_FORMATS: Final = ("json", "text")
GRANULARITIES: Final = ("segment", "word")
MISTRAL_FIELDS: Final = ("diarize", "context_bias", "file_url", "file_id", "speaker_references")
INCLUDES: Final = ("logprobs",)
SPEAKER_FIELDS: Final = ("known_speaker_names", "known_speaker_references")
MODES: Final[dict[Task, Mode]] = {"transcribe": Mode.TRANSCRIBE, "translate": Mode.TRANSLATE}


@dataclass(frozen=True, slots=True)
class Order:
    renderer: Renderer
    format: Format
    options: SessionOptions
    audio: BinaryIO
    stream: bool
    strict: bool = False
    """Whether a damaged recording is an error."""

    @property
    def size_bytes(self) -> int:
        return self.audio.seek(0, io.SEEK_END)

    def with_model(self, model: str) -> "Order":
        return replace(self, options=replace(self.options, model=model))


def is_mistral_form(form: Form) -> bool:
    """Whether only a client of Mistral's API sends such a form. If the form is ambiguous, it is one of OpenAI's."""
    if form.media_type == URLENCODED or any(map(form.given_list, MISTRAL_FIELDS)):
        return True
    # In OpenAI's API the name has brackets, and needs a format that Mistral's API does not have.
    return form.given("timestamp_granularities") and not form.given("response_format")


def openai_order(form: Form, task: Task) -> Order:
    """Raises what `Form` raises, and InvalidFieldError for fields that cannot be combined."""
    response_format = form.choice("response_format", FORMATS, "json")
    stream = task == "transcribe" and form.flag("stream")
    if stream and response_format not in STREAMED_FORMATS:
        allowed = f"{', '.join(STREAMED_FORMATS)} if stream is true"
        raise InvalidFieldError("response_format", response_format, allowed)
    granularities = form.choices("timestamp_granularities", GRANULARITIES) or {"segment"}
    if form.texts("timestamp_granularities") and response_format != "verbose_json":
        raise InvalidFieldError("response_format", response_format, "verbose_json if timestamp_granularities is given")
    logprobs = bool(form.choices("include", INCLUDES)) and response_format == "json" and task == "transcribe"
    for name in SPEAKER_FIELDS:
        if given := form.texts(name):
            raise InvalidFieldError(name, given[0], "nothing: speaker diarization is not supported")
    options = SessionOptions(
        mode=MODES[task],
        language=form.option("language"),
        languages=form.languages(),
        prompt=form.option("prompt"),
        keyterms=form.keyterms("keywords"),
        words="word" in granularities or response_format in ("srt", "vtt") or logprobs,
        partials=False,
        recording=True,
        model=form.option("model"),
        temperature=form.option("temperature", TEMPERATURE),
        channels=form.channels(),
        **form.wording(),
    )
    wanted = Format(task, frozenset(granularities), response_format, options.temperature or 0.0, logprobs)
    return Order(OPENAI, wanted, options, form.audio(), stream, form.flag("strict"))


def mistral_order(form: Form) -> Order:
    """Raises what `Form` raises, and InvalidFieldError for unsupported fields."""
    for name in ("file_url", "file_id"):
        if form.text(name):
            raise InvalidFieldError(name, form.text(name), "nothing: send the recording itself as file")
    if form.flag("diarize"):
        raise InvalidFieldError("diarize", "true", "false: speaker diarization is not supported")
    granularities = form.choices("timestamp_granularities", GRANULARITIES)
    options = SessionOptions(
        language=form.option("language"),
        languages=form.languages(),
        prompt=form.option("prompt"),
        keyterms=form.keyterms("context_bias"),
        words="word" in granularities,
        partials=False,
        recording=True,
        model=form.option("model"),
        temperature=form.option("temperature", TEMPERATURE),
        channels=form.channels(),
        **form.wording(),
    )
    wanted = Format("transcribe", frozenset(granularities))
    return Order(MISTRAL, wanted, options, form.audio(), form.flag("stream"), form.flag("strict"))
