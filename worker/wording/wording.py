"""How a session's text is written: filler words, redaction, numerals and profanity, in this order. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from shared.events import Word
from shared.session_options import FillerWords, Mode, Profanity, SessionOptions
from worker.engines.base import Final as FinalText
from worker.engines.base import Notice, Partial
from worker.wording import fillers, numerals, profanity, redaction
from worker.wording.edits import Edit, applied


@dataclass(frozen=True, slots=True)
class Wording:
    """The active options. `language` is the client's; it is used if the model reports none."""

    language: str | None = None
    drops_fillers: bool = False
    writes_numerals: bool = False
    masks_profanity: bool = False
    redact: tuple[str, ...] = ()
    redact_terms: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: SessionOptions) -> Self | None:
        """None if no option is active."""
        wanted = cls(
            language="en" if options.mode is Mode.TRANSLATE else options.language,
            drops_fillers=options.filler_words == FillerWords.DROP,
            writes_numerals=bool(options.numerals),
            masks_profanity=options.profanity == Profanity.MASK,
            redact=options.redact or (),
            redact_terms=options.redact_terms or (),
        )
        return None if wanted == cls(wanted.language) else wanted

    @property
    def redacts(self) -> bool:
        """Whether parts of the text are redacted."""
        return bool(self.redact or self.redact_terms)

    def with_redaction_of(self, other: Self) -> Self:
        """The same wording, which also redacts what the other one does."""
        kinds, terms = dict.fromkeys(self.redact + other.redact), dict.fromkeys(self.redact_terms + other.redact_terms)
        return replace(self, redact=tuple(kinds), redact_terms=tuple(terms))

    def partial(self, partial: Partial, language: str | None) -> Partial:
        """The rewritten partial. Its text is not committed: the next words can change how earlier ones are written."""
        text, _ = self._written(partial.text, (), language or self.language)
        return replace(partial, text=text, committed_text="", committed_words=())

    def final(self, final: FinalText, language: str | None) -> FinalText:
        """The rewritten final; its words keep the times of those that they replace."""
        return final.rewritten(*self._written(final.text, final.words, language or self.language))

    def notices(self, language: str | None) -> list[Notice]:
        """Options that have no effect, or less effect, on speech in this language."""
        language = language or self.language
        known = f"in {language}" if language else "while the language of the speech is not known; set language"
        wanted = {
            "numerals": (self.writes_numerals, numerals.LANGUAGES),
            "profanity": (self.masks_profanity and language is not None, profanity.PROFANE),
            "filler_words": (self.drops_fillers and language is not None, fillers.FILLERS),
        }
        found = [
            Notice(f"{name}_ignored", f"{name} has no effect {known}.")
            for name, (is_on, languages) in wanted.items()
            if is_on and language not in languages
        ]
        if set(self.redact) - redaction.WITHOUT_NUMBERS and language not in numerals.LANGUAGES:
            found.append(Notice("redact_limited", f"redact does not find numbers that are spoken as words {known}."))
        return found

    def _written(self, text: str, words: Sequence[Word], language: str | None) -> tuple[str, tuple[Word, ...]]:
        """Each step reads the result of the previous one."""
        steps: tuple[tuple[bool, Callable[[str, str | None], list[Edit]]], ...] = (
            (self.drops_fillers, self._without_fillers),
            (self.redacts, lambda text, language: redaction.edits(text, language, self.redact, self.redact_terms)),
            (self.writes_numerals, numerals.edits),
            (self.masks_profanity, profanity.edits),
        )
        for is_on, edits in steps:
            if is_on:
                text, words = applied(text, words, edits(text, language))
        return text, tuple(words)

    def _without_fillers(self, text: str, language: str | None) -> list[Edit]:
        """But for those that are part of a term."""
        found = fillers.edits(text, language)
        if not self.redact_terms:
            return found
        kept = redaction.places_of_terms(text, self.redact_terms)
        return [edit for edit in found if not any(start < edit.end and end > edit.start for start, end in kept)]
