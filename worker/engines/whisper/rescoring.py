"""Writes key terms into decoded text if the audio supports them.

The text is decoded without the terms, as always. Words that sound like a term are compared with the term by the model
itself: it scores both texts over the same audio, and a term may be a little less likely than what it replaces. When the
text may become final, a second decode with the likest terms as its prompt, with several hypotheses, proposes more.
Whatever such a decode writes elsewhere is discarded: prompts make Whisper repeat itself and omit words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Final

from shared.session_options import KeyTerm
from worker.engines.keyterms.spans import Proposal, SpokenTerms, Written, spoken_terms
from worker.engines.loading.faster_whisper_internals import Tokenizer
from worker.engines.whisper.encoded import aligned_frames, chosen
from worker.engines.whisper.words import HeardWord, Piece, Spelling, parted, spelling, timed_words

LIKENESS: Final = 0.5
"""Measured on sentences with rare names (tests/bench/rare_names.py): below it, hardly any proposal is right."""
PARTIAL_LIKENESS: Final = 0.6
PROPOSALS: Final = 6
PARTIAL_PROPOSALS: Final = 3
"""Each takes 15 to 30 ms to score on a core, in a window of 10 s."""
PROMPT_LIKENESS: Final = 0.45
PROMPT_TERMS: Final = 24
HYPOTHESES: Final = 5
LEAST_PROMPT_TOKENS: Final = 16
SPARE_TOKENS: Final = 12
LEAST_PROBABILITY: Final = 1e-10

Aligned = tuple[Spelling, tuple[HeardWord, ...]]


@dataclass(frozen=True, slots=True)
class Text:
    """One decoded window."""

    encoded: Any
    """The encoder's output for the batch."""
    row: int
    samples: int
    forced: tuple[int, ...]
    language: str
    translate: bool
    closing: bool
    prompt: str | None
    aligned: Aligned

    @property
    def words(self) -> tuple[HeardWord, ...]:
        return self.aligned[1]

    @property
    def written(self) -> list[Written]:
        return [Written(word.text, word.mark) for word in self.words]

    def tokens(self, *proposals: Proposal, encode: Callable[[str], tuple[int, ...]]) -> list[int]:
        """The text with some proposals, which do not overlap."""
        found = [token for piece in self.aligned[0].lead for token in piece.tokens]
        at = 0
        for one in [*sorted(proposals, key=lambda one: one.start), None]:
            for word in self.words[at : None if one is None else one.start]:
                found += [*word.tokens, *word.mark_tokens]
            if one is not None:
                found += [*encode(one.text), *self.words[one.stop - 1].mark_tokens]
                at = one.stop
        return found


class Rescoring:
    def __init__(
        self,
        model: Any,
        tokenizer: Callable[[str, bool], Tokenizer],
        encode: Callable[[str], tuple[int, ...]],
        max_prompt_tokens: int,
        max_positions: int,
    ) -> None:
        """`tokenizer` of a language, to transcribe or to translate. `encode` is for a text as it stands.

        `max_positions` limits the tokens of a prompt and its answer together.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._encode = encode
        self._max_prompt_tokens, self._max_positions = max_prompt_tokens, max_positions

    def with_terms(self, text: Text, keyterms: tuple[KeyTerm, ...]) -> Aligned:
        """The words with the terms that the audio supports."""
        terms = spoken_terms(keyterms)
        proposals = self._proposals(text, terms)
        if not proposals:
            return text.aligned
        plain, *others = self._scored(text, [text.tokens(encode=self._encode), *self._texts(text, proposals)])
        scored = zip(proposals, others, strict=True)
        gains = [(one.bonus + score - plain[1], one, found) for one, (found, score) in scored]
        accepted: list[tuple[Proposal, Aligned]] = []
        for gain, one, found in sorted(gains, key=lambda gained: -gained[0]):
            if gain > 0 and not any(one.overlaps(other) for other, _ in accepted):
                accepted.append((one, found))
        if len(accepted) > 1:
            together = text.tokens(*(one for one, _ in accepted), encode=self._encode)
            return self._scored(text, [together])[0][0]
        return accepted[0][1] if accepted else text.aligned

    def _texts(self, text: Text, proposals: Sequence[Proposal]) -> list[list[int]]:
        return [text.tokens(one, encode=self._encode) for one in proposals]

    def _proposals(self, text: Text, terms: SpokenTerms) -> list[Proposal]:
        written = text.written
        if not text.closing:
            compared = terms.compared(written, PARTIAL_LIKENESS)
            return compared.proposals(likeness=PARTIAL_LIKENESS, most=PARTIAL_PROPOSALS)
        compared = terms.compared(written, PROMPT_LIKENESS)
        found = compared.proposals(likeness=LIKENESS, most=PROPOSALS)
        expected = compared.likely(likeness=PROMPT_LIKENESS, most=PROMPT_TERMS)
        if expected:
            for other in self._decoded_with(text, expected):
                found += terms.differences(written, other)
        return list({(one.start, one.stop, one.text): one for one in found}.values())

    def _decoded_with(self, text: Text, expected: Sequence[str]) -> list[list[Written]]:
        """Several hypotheses of a decode that has the terms as its prompt, the likest term at its end."""
        tokenizer = self._tokenizer(text.language, text.translate)
        spoken = " ".join(part for part in (text.prompt, ", ".join(reversed(expected))) if part)
        answer = [*tokenizer.sot_sequence, tokenizer.timestamp_begin, *text.forced]
        cap_tokens = len(text.tokens(encode=self._encode)) + len(text.forced) + SPARE_TOKENS
        room = min(self._max_prompt_tokens, self._max_positions - len(answer) - cap_tokens - 1)
        if room < LEAST_PROMPT_TOKENS:
            return []
        prompt = [tokenizer.sot_prev, *self._encode(" " + spoken.strip())[-room:], *answer]
        [result] = self._model.generate(
            chosen(text.encoded, [text.row]),
            [prompt],
            beam_size=HYPOTHESES,
            num_hypotheses=HYPOTHESES,
            max_length=min(max(2 * cap_tokens, cap_tokens + len(prompt)), self._max_positions),
        )
        found = []
        for tokens in result.sequences_ids:
            said = [token for token in tokens[1 + len(text.forced) :] if token < tokenizer.timestamp_begin]
            found.append([_written(word) for word in spelling(pieces_of(tokenizer, said)).words])
        return found

    def _scored(self, text: Text, candidates: Sequence[list[int]]) -> list[tuple[Aligned, float]]:
        """The words of each text over the same audio, and the logarithm of its probability, without any prompt."""
        tokenizer = self._tokenizer(text.language, text.translate)
        view = chosen(text.encoded, [text.row] * len(candidates))
        whole = [[*text.forced, *tokens] for tokens in candidates]
        frames = [aligned_frames(text.samples)] * len(candidates)
        found = []
        for tokens, one in zip(candidates, self._model.align(view, tokenizer.sot_sequence, whole, frames), strict=True):
            probabilities = one.text_token_probs
            spelled = spelling(pieces_of(tokenizer, tokens))
            first = len(text.forced)
            words = timed_words(spelled, one.alignments, probabilities, first_token=first, length_samples=text.samples)
            score = sum(log(max(probability, LEAST_PROBABILITY)) for probability in probabilities[first:])
            found.append(((spelled, words), score))
        return found


def pieces_of(tokenizer: Tokenizer, tokens: list[int]) -> list[Piece]:
    """The characters that the tokenizer keeps together."""
    texts, groups = tokenizer.split_to_word_tokens(tokens)
    return [Piece(text, tuple(group)) for text, group in zip(texts, groups, strict=True)]


def _written(word: Sequence[Piece]) -> Written:
    """A word of a hypothesis, with its closing marks apart."""
    return Written(*("".join(piece.text for piece in part) for part in parted(word)))
