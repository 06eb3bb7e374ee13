"""Which language is spoken, from the model's detection in segments of speech. Pure."""

from collections.abc import Mapping, Sequence
from math import log

Probabilities = Mapping[str, float]
"""The probability of each language, for one segment of speech."""

FLOOR = 1e-4
"""One segment of speech never rules out a language."""
MIN_SPEECH_S = 2.0
"""Shorter speech is too little to change the language. Measured with whisper-base on 69 segments of recorded speech:
the right language is found in 48 to 58 of 1 s."""
COMMON_LANGUAGE = "en"
COMMON_ODDS = 4.0
"""Little speech is taken for this language unless another one is likelier by about this factor. Measured with
whisper-base: of 120 English commands, 1 instead of 4 is taken for another language; of 165 pieces of recorded speech in
eleven other languages, of 1 to 2 s, 53 instead of 51."""
SURE_PROBABILITY = 0.8
"""The probability that a segment of speech needs to change the language of the session."""
LIKELY_PROBABILITY = 0.5
"""The probability that settles the words of a segment of speech before more of it is heard."""
FOREIGN_PROBABILITY = 0.25
FOREIGN_SPEECH_S = 1.0
"""This much speech whose language is less likely than this is probably in another one."""
DETECT_AT_S = (0.5, 1.0, 2.0, 4.0)
"""Amounts of speech of a segment after which its language is detected, until it is settled."""
SETTLED_SPEECH_S = 4.0
"""After this much speech the likeliest language stays fixed."""


def likeliest(segments: Sequence[tuple[Probabilities, float]], languages: Sequence[str] = ()) -> str:
    """The language that explains the segments of speech best. Each counts by its length in s, up to `MIN_SPEECH_S`.

    `languages`: the only ones to choose from; empty: all.
    """
    evidence: dict[str, float] = {}
    doubt = 1.0
    for probabilities, speech_s in segments:
        weight = min(speech_s / MIN_SPEECH_S, 1.0)
        doubt -= weight
        for code, probability in probabilities.items():
            evidence[code] = evidence.get(code, 0.0) + weight * log(max(probability, FLOOR))
    if COMMON_LANGUAGE in evidence:
        evidence[COMMON_LANGUAGE] += max(doubt, 0.0) * log(COMMON_ODDS)
    allowed = [code for code in evidence if not languages or code in languages] or list(evidence)
    return max(allowed, key=lambda code: evidence[code])


def surely_spoken(probabilities: Probabilities, speech_s: float, languages: Sequence[str] = ()) -> str | None:
    """The language of a segment of speech that is long enough and unambiguous; otherwise None."""
    if speech_s < MIN_SPEECH_S:
        return None
    allowed = {code: one for code, one in probabilities.items() if not languages or code in languages}
    found = max(allowed, key=lambda code: allowed[code], default=None)
    return found if found is not None and allowed[found] >= SURE_PROBABILITY * sum(allowed.values()) else None


def seems_foreign(probabilities: Probabilities, speech_s: float, language: str, languages: Sequence[str] = ()) -> bool:
    """Whether a segment of speech is probably in another language, although it may not be long enough to tell which."""
    allowed = {code: one for code, one in probabilities.items() if not languages or code in languages}
    own, all_of_them = allowed.get(language, 0.0), sum(allowed.values())
    return speech_s >= FOREIGN_SPEECH_S and own < FOREIGN_PROBABILITY * all_of_them


class SpokenLanguage:
    """The language of a live session that sets none. Segments of speech add up until it is settled."""

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages = languages
        self._segments: list[tuple[Probabilities, float]] = []
        self._latest: tuple[Probabilities, float] | None = None
        self.current: str | None = None
        self.is_settled = False
        """Whether only an unambiguous detection can change it."""
        self.heard_s = 0.0
        """How much of the latest segment has been heard."""

    @property
    def is_likely(self) -> bool:
        """Whether the latest segment leaves little doubt: it was long enough, and agrees."""
        if self._latest is None or self.heard_s < MIN_SPEECH_S:
            return False
        probabilities, _ = self._latest
        return probabilities.get(self.current or "", 0.0) >= LIKELY_PROBABILITY

    @property
    def wants_more(self) -> bool:
        """Whether more of the latest segment may change the language."""
        return self.heard_s < SETTLED_SPEECH_S and not self.is_likely

    def is_due(self, speech_s: float, *, ends: bool) -> bool:
        """Whether to detect the language of a segment with this much speech; `ends`: no more of it is expected."""
        first_s = MIN_SPEECH_S if self.is_settled else 0.0
        due = any(first_s <= at_s <= speech_s and at_s > self.heard_s for at_s in DETECT_AT_S)
        last = ends and not self.is_settled and speech_s > self.heard_s
        return self.wants_more and (due or last)

    def hear(self, probabilities: Probabilities, speech_s: float) -> None:
        """Add the detection of a segment of speech, in place of an earlier one of the same segment."""
        self.heard_s = speech_s
        self._latest = (probabilities, speech_s)
        if sure := surely_spoken(probabilities, speech_s, self._languages):
            self.current, self.is_settled = sure, True
        elif not self.is_settled:
            heard = [*self._segments, self._latest]
            self.current = likeliest(heard, self._languages)
            self.is_settled = sum(length_s for _, length_s in heard) >= SETTLED_SPEECH_S

    def end_segment(self) -> None:
        """The next detection belongs to another segment of speech."""
        if self._latest and not self.is_settled:
            self._segments.append(self._latest)
        self._latest, self.heard_s = None, 0.0
