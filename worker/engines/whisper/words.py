"""Words as people read them, out of the pieces that the tokenizer makes. Pure."""

from collections.abc import Sequence


def word_groups(pieces: Sequence[str]) -> list[range]:
    """Which successive pieces make one word: punctuation belongs to the word before it.

    An opening mark (with a space before it) belongs to the word behind it.
    """
    groups: list[range] = []
    opening: int | None = None
    for index, piece in enumerate(pieces):
        has_letters = any(character.isalnum() for character in piece)
        if not has_letters and groups and not piece.startswith(" ") and opening is None:
            groups[-1] = range(groups[-1].start, index + 1)
        elif not has_letters and index + 1 < len(pieces):
            opening = index if opening is None else opening
        else:
            groups.append(range(index if opening is None else opening, index + 1))
            opening = None
    return groups
