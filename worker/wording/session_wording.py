"""Which wording applies to each segment of a session: the last one set before its first output. Pure.

Speech stays redacted if the client turns redaction off before its first output, which may be later than the speech.
"""

from collections import deque

from shared.session_options import Mode, SessionOptions
from worker.engines.base import Final, Notice, Partial
from worker.wording.wording import Wording


class SessionWording:
    """Rewrites a session's outputs, in order."""

    def __init__(self, options: SessionOptions) -> None:
        self._wording = Wording.of(options)
        """Of the newest options in force."""
        self._applying = self._wording
        """Of the open segment."""
        self._coming: deque[tuple[int, SessionOptions]] = deque()
        """Options that the client has set, and the audio position from which each applies."""
        self._segment: int | None = None
        self._language: str | None = None
        """Spoken in the last final that has one."""
        self._mode = options.mode
        self.applied: Wording | None = None
        """The wording of the last final; None if it was not rewritten."""
        self._reported: set[str] = set()
        """Codes of the notices sent so far."""

    @property
    def language(self) -> str | None:
        """The language of the text of the last final, if it is known."""
        return "en" if self._mode is Mode.TRANSLATE else self._language

    def configure(self, options: SessionOptions, at_samples: int) -> None:
        self._coming.append((at_samples, options))

    def partial(self, partial: Partial, *, is_committed: bool) -> Partial | None:
        """The partial as clients receive it; None to send none. `is_committed`: text of the segment was committed."""
        wording = self._in_force(partial, is_committed)
        if wording is None:
            return partial
        if wording.redacts:  # a partial could contain the beginning of text that is redacted once it is complete
            return None
        written = wording.partial(partial, self.language)
        return written if written.text else None

    def final(self, final: Final, *, is_committed: bool) -> tuple[Final, list[Notice]]:
        """The final as clients receive it, and the notices about it."""
        wording = self.applied = self._in_force(final, is_committed)
        if final.language is not None:
            self._language = final.language
        if wording is None or not final.text:
            return final, []
        language = self.language
        notices = [notice for notice in wording.notices(language) if notice.code not in self._reported]
        self._reported.update(notice.code for notice in notices)
        return wording.final(final, language), notices

    def _in_force(self, output: Partial | Final, is_committed: bool) -> Wording | None:
        """A segment keeps its wording to its end, and committed text is never rewritten."""
        if output.segment != self._segment:
            self._segment = output.segment
            self._applying = self._wording
            while self._coming and self._coming[0][0] <= output.heard_samples:
                at_samples, options = self._coming.popleft()
                if options.language is not None or options.languages is not None:
                    self._language = None
                before, self._applying = self._applying, Wording.of(options)
                self._wording = self._applying
                if before is not None and before.redacts and at_samples > output.start_samples:
                    self._applying = (self._wording or Wording(options.language)).with_redaction_of(before)
        return None if is_committed else self._applying
