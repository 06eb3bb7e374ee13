"""Parses the form of an upload, with OpenAI's field names and with Mistral's."""

import io
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from frontend.api.renderers import MISTRAL, OPENAI, Format, Renderer
from frontend.api.speaker_fields import DIARIZED, mistral_speakers, openai_speakers
from frontend.api.upload_form import TEMPERATURE, URLENCODED, Form
from frontend.protocols.json_objects import parsed
from frontend.protocols.openai.rest import Task
from shared.errors import InvalidFieldError, InvalidJsonError
from shared.session_options import Mode, SessionOptions

FORMATS: Final = ("json", "text", "srt", "vtt", "verbose_json", DIARIZED)
TRANSLATED_FORMATS: Final = FORMATS[:-1]
STREAMED_FORMATS: Final = ("json", "text", DIARIZED)
GRANULARITIES: Final = ("segment", "word")
MISTRAL_FIELDS: Final = ("context_bias", "file_url", "file_id", "speaker_references")
INCLUDES: Final = ("logprobs",)
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
    # In OpenAI's API the name of the list has brackets, and needs a format that Mistral's API does not have.
    is_mistrals = form.given("timestamp_granularities") or form.given("diarize")
    return is_mistrals and not form.given("response_format")


def openai_order(form: Form, task: Task) -> Order:
    """Raises what `Form` raises, and InvalidFieldError for fields that cannot be combined."""
    response_format = form.choice("response_format", FORMATS if task == "transcribe" else TRANSLATED_FORMATS, "json")
    _check_chunking(form)
    stream = task == "transcribe" and form.flag("stream")
    if stream and response_format not in STREAMED_FORMATS:
        allowed = f"{', '.join(STREAMED_FORMATS)} if stream is true"
        raise InvalidFieldError("response_format", response_format, allowed)
    granularities = form.choices("timestamp_granularities", GRANULARITIES) or {"segment"}
    if form.texts("timestamp_granularities") and response_format != "verbose_json":
        raise InvalidFieldError("response_format", response_format, "verbose_json if timestamp_granularities is given")
    logprobs = bool(form.choices("include", INCLUDES)) and response_format == "json" and task == "transcribe"
    speakers = openai_speakers(form, response_format)
    options = SessionOptions(
        mode=MODES[task],
        language=form.option("language"),
        languages=form.languages(),
        prompt=form.option("prompt"),
        keyterms=form.keyterms("keywords"),
        words="word" in granularities or response_format in ("srt", "vtt") or logprobs or bool(speakers["diarize"]),
        partials=False,
        recording=True,
        model=form.option("model"),
        temperature=form.option("temperature", TEMPERATURE),
        channels=form.channels(),
        **form.wording(),
        **form.webhook(),
        **speakers,
    )
    wanted = Format(
        task, frozenset(granularities), response_format, options.temperature or 0.0, logprobs, bool(options.diarize)
    )
    return Order(OPENAI, wanted, options, form.audio(), stream, form.flag("strict"))


def mistral_order(form: Form) -> Order:
    """Raises what `Form` raises, and InvalidFieldError for unsupported fields."""
    for name in ("file_url", "file_id"):
        if form.text(name):
            raise InvalidFieldError(name, "…", "nothing: send the recording itself as file")
    granularities = form.choices("timestamp_granularities", GRANULARITIES)
    speakers = mistral_speakers(form)
    options = SessionOptions(
        language=form.option("language"),
        languages=form.languages(),
        prompt=form.option("prompt"),
        keyterms=form.keyterms("context_bias"),
        words="word" in granularities or bool(speakers["diarize"]),
        partials=False,
        recording=True,
        model=form.option("model"),
        temperature=form.option("temperature", TEMPERATURE),
        channels=form.channels(),
        **form.wording(),
        **form.webhook(),
        **speakers,
    )
    wanted = Format("transcribe", frozenset(granularities), diarize=bool(options.diarize))
    return Order(MISTRAL, wanted, options, form.audio(), form.flag("stream"), form.flag("strict"))


def _check_chunking(form: Form) -> None:
    """Raises InvalidFieldError unless `chunking_strategy` has one of OpenAI's values, which have no effect here."""
    kind = form.text("chunking_strategy[type]") or form.text("chunking_strategy")
    if kind is None or kind in ("auto", "server_vad"):
        return
    try:
        given = parsed(kind)
    except InvalidJsonError:
        given = None
    if not isinstance(given, dict) or given.get("type") != "server_vad":
        raise InvalidFieldError("chunking_strategy", kind, 'auto, {"type": "server_vad", …}')
