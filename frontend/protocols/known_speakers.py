"""The option `known_speakers`: names, each with a recording or an embedding of the voice. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from frontend.protocols.base64_audio import BASE64, decode_audio
from frontend.protocols.json_objects import parsed
from frontend.protocols.kinds import Schema, WrongTypeError, WrongValueError
from frontend.protocols.long_text import LongText
from shared import voices
from shared.errors import InvalidAudioError, InvalidJsonError
from shared.session_options import KnownSpeaker

_OWN_FORM: Final = (
    "a list of at most {most} objects, each with its own 'name' of {chars}, and with 'audio' ({audio}) or 'embedding'"
)
_LENGTH: Final = f"a recording of {voices.MIN_VOICE_S:g} to {voices.MAX_VOICE_S:g} s"
_RECORDING: Final = f"base64 of {_LENGTH}"


@dataclass(frozen=True, slots=True)
class KnownSpeakers:
    """Known speakers: objects with a `name`, and with `audio` or an `embedding`; None for an empty list.

    An error repeats no audio and no embedding.
    """

    max_speakers: int
    max_name_chars: int
    form: str = _OWN_FORM
    """How the client's API gives them, for errors; see `allowed`."""

    @property
    def allowed(self) -> str:
        return self.form.format(
            most=self.max_speakers, chars=f"1 to {self.max_name_chars} characters", audio=_RECORDING
        )

    def parse(self, value: Any) -> tuple[KnownSpeaker, ...] | None:
        if not isinstance(value, list):
            raise WrongTypeError(self.allowed, part="…")
        if len(value) > self.max_speakers:
            raise WrongValueError(self.allowed, part=f"a list of {len(value)}")
        speakers = [self._speaker(one) for one in value]
        if len({speaker.name for speaker in speakers}) < len(speakers):
            raise WrongValueError(self.allowed, part="a name that is given twice")
        return tuple(speakers) or None

    def _speaker(self, value: Any) -> KnownSpeaker:
        if not isinstance(value, dict):
            raise WrongValueError(self.allowed, part="…")
        name, audio, embedding = (value.get(field) for field in ("name", "audio", "embedding"))
        if not isinstance(name, str) or not 0 < len(name.strip()) <= self.max_name_chars or not name.isprintable():
            raise WrongValueError(self.allowed, part="…")
        if (audio is None) == (embedding is None):
            raise WrongValueError(self.allowed, part=_voice(name))
        if audio is not None:
            return KnownSpeaker(name.strip(), audio=self._decoded(name, audio))
        if not isinstance(embedding, str) or not voices.is_embedding(embedding):
            raise WrongValueError("an embedding as the service has made it", part=_voice(name))
        return KnownSpeaker(name.strip(), embedding)

    @staticmethod
    def _decoded(name: str, audio: Any) -> bytes:
        wrong = WrongValueError(f"{_LENGTH} as {BASE64}", part=_voice(name))
        if not isinstance(audio, str | LongText):
            raise wrong
        try:
            content = decode_audio(audio, "audio")
        except InvalidAudioError:
            raise wrong from None
        if not 0 < len(content) <= voices.MAX_VOICE_FILE_BYTES:
            raise WrongValueError(f"a recording of at most {voices.MAX_VOICE_FILE_BYTES >> 20} MB", part=_voice(name))
        return content

    def from_text(self, text: str) -> tuple[KnownSpeaker, ...] | None:
        try:
            return self.parse(parsed(text))
        except InvalidJsonError:
            raise WrongTypeError(self.allowed, part="…") from None

    def schema(self) -> Schema:
        fields = {
            "name": {"type": "string", "minLength": 1, "maxLength": self.max_name_chars},
            "audio": {"type": "string", "description": "Base64, or a `data:` URL with base64."},
            "embedding": {"type": "string", "maxLength": voices.MAX_EMBEDDING_CHARS},
        }
        items = {"type": "object", "required": ["name"], "properties": fields}
        return {"type": "array", "maxItems": self.max_speakers, "items": items}


def _voice(name: str) -> str:
    """What errors show instead of audio or an embedding. The name alone would look like the wrong value."""
    return f"the voice of {name}"
