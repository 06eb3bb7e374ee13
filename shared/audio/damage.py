"""Faults of a recording that is still decoded: warnings, or errors in strict mode."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import InvalidAudioError

MAX_DAMAGES: Final = 12
"""Warnings of one recording. The last one says that there are more."""
MAX_WARNINGS: Final = 16
"""Size of all warnings of one recording."""

CUT_SHORT: Final = "audio_cut_short"
DAMAGED: Final = "audio_damaged"
CHANNELS: Final = "audio_channels"
CODES: Final = (CUT_SHORT, DAMAGED, CHANNELS)
"""Of recordings."""

_SAME_PLACE_S: Final = 0.5
_MAX_PLACES: Final = 8
_MAX_UNCERTAIN: Final = 1000


@dataclass(frozen=True, slots=True)
class AudioWarning:
    """A fault of an accepted recording that its sender should know."""

    code: str
    """One of `CODES`, or of the codes of live audio (`shared.audio.stereo`)."""
    message: str
    start_s: float | None = None
    """Position in the decoded audio; None: all of it."""

    def wire(self) -> dict[str, Any]:
        place = {} if self.start_s is None else {"start": self.start_s}
        return {"code": self.code, "message": self.message, **place}


def incomplete_sample(loose_bytes: int) -> str:
    """The predicate for audio that ends with an incomplete sample of so many bytes."""
    loose = f"{loose_bytes} bytes" if loose_bytes > 1 else "1 byte"
    return f"ends with {loose} of an incomplete sample, which is dropped."


class Damage:
    """Collects the faults of one file. With `strict`, each is an `InvalidAudioError`."""

    def __init__(self, name: str, warn: Callable[[AudioWarning], None], *, strict: bool = False) -> None:
        self._name = name
        """The name of the file in messages, such as `The WAV file`."""
        self._warn = warn
        self._strict = strict
        self._places: list[tuple[float, int]] = []
        """Where packets could not be decoded, and how many."""
        self._added = 0
        self._uncertain: list[float] = []
        """Packets that could not be decoded, with no decoded packet after them."""

    def add(self, code: str, what: str, at_s: float) -> None:
        """`what` is the predicate of the file, such as `is cut short: …`."""
        sentence = f"{self._name} {what}"
        if self._strict:
            raise InvalidAudioError(f"{sentence} It is rejected because strict is true.")
        self._added += 1
        if self._added == MAX_DAMAGES:
            code, sentence = DAMAGED, f"{self._name} is damaged at further places from {at_s:.2f} s on."
        if self._added <= MAX_DAMAGES:
            self._warn(AudioWarning(code, sentence, round(at_s, 3)))

    @property
    def is_noted(self) -> bool:
        """Whether packets could not be decoded."""
        return bool(self._places)

    def bad_packet(self, at_s: float) -> None:
        """A packet could not be decoded. It counts once audio follows (`good_packet`), or at the end."""
        if len(self._uncertain) < _MAX_UNCERTAIN:
            self._uncertain.append(at_s)

    def good_packet(self) -> None:
        """A packet was decoded."""
        for at_s in self._uncertain:
            if self._strict:
                self.add(DAMAGED, f"is damaged at {at_s:.2f} s: a part there cannot be decoded.", at_s)
            if self._places and at_s - self._places[-1][0] < _SAME_PLACE_S:
                self._places[-1] = self._places[-1][0], self._places[-1][1] + 1
            elif len(self._places) <= _MAX_PLACES:
                self._places.append((at_s, 1))
        self._uncertain.clear()

    def report_packets(self, *, may_end_badly: bool) -> None:
        """Warn of the packets that could not be decoded, once all have been read. With `may_end_badly` those at the end
        are ignored: they are tags, or the end is known to be missing."""
        if not may_end_badly:
            self.good_packet()
        for at_s, count in self._places[:_MAX_PLACES]:
            parts = "a part" if count == 1 else f"{count} parts"
            self.add(DAMAGED, f"is damaged at {at_s:.2f} s: {parts} there could not be decoded.", at_s)
        if len(self._places) > _MAX_PLACES:
            at_s = self._places[_MAX_PLACES][0]
            self.add(DAMAGED, f"is damaged at further places from {at_s:.2f} s on.", at_s)
