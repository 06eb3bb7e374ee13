"""The form fields about speakers: with OpenAI's names, with Mistral's, and our own."""

from typing import Any, Final

from frontend.api.upload_form import Form
from frontend.protocols.json_objects import parsed
from frontend.protocols.mistral.session import SPEAKER_REFERENCES
from frontend.protocols.options import MAX_SPEAKERS, parse_references
from shared.errors import InvalidFieldError, InvalidJsonError
from shared.voices import MAX_VOICE_FILE_BYTES, MAX_VOICE_S, MIN_VOICE_S

NAMES: Final = "known_speaker_names"
REFERENCES: Final = "known_speaker_references"
REFERENCE_LIST: Final = f"at most {{most}} samples, each {{audio}}, for as many different {NAMES}, each of {{chars}}"
MISTRAL_REFERENCES: Final = "speaker_references"
_MAX_CHARS: Final = MAX_VOICE_FILE_BYTES * 4 // 3 + 1024
DIARIZED: Final = "diarized_json"


def openai_speakers(form: Form, response_format: str) -> dict[str, Any]:
    """The options of a session. Speakers are named in `diarized_json`, and with our field `diarize` in every format."""
    diarize = form.flag("diarize") or response_format == DIARIZED
    names, audios = form.texts(NAMES), form.long_texts(REFERENCES, _MAX_CHARS)
    if (names or audios) and not diarize:
        raise InvalidFieldError("response_format", response_format, f"{DIARIZED} if {NAMES} is given")
    if len(names) != len(audios):
        allowed = f"one of {MIN_VOICE_S:g} to {MAX_VOICE_S:g} s for each of the {len(names)} {NAMES}"
        raise InvalidFieldError(REFERENCES, f"a list of {len(audios)}", allowed)
    return _options(form, diarize, REFERENCES, zip(names, audios, strict=True), REFERENCE_LIST)


def mistral_speakers(form: Form) -> dict[str, Any]:
    """The same with Mistral's names: `speaker_references` is a JSON object of names and audio in base64."""
    written = "".join(form.long_texts(MISTRAL_REFERENCES, MAX_SPEAKERS * _MAX_CHARS))
    allowed = "a JSON object: names, each with a recording in base64"
    try:
        known = parsed(written) if written else {}
    except InvalidJsonError:
        raise InvalidFieldError(MISTRAL_REFERENCES, "no JSON", allowed) from None
    if not isinstance(known, dict):
        raise InvalidFieldError(MISTRAL_REFERENCES, "another JSON value", allowed)
    return _options(form, form.flag("diarize"), MISTRAL_REFERENCES, known.items(), SPEAKER_REFERENCES)


def _options(form: Form, diarize: bool, field: str, known: Any, known_form: str) -> dict[str, Any]:
    return {
        "diarize": diarize or None,
        "max_speakers": form.option("max_speakers"),
        "known_speakers": parse_references(field, known, known_form),
    }
