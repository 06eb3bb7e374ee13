"""Which part of the key-value memory each request gets. Pure: counts tokens, holds no tensor.

Memory is divided into blocks of rows of one length; the rows of a block go through the model together, so requests of
similar length share a block. The first block has a row for every slot, long enough for live speech, and is never freed.
Other blocks are created when they are needed and freed when their memory is needed for another length.
"""

from dataclasses import dataclass, field
from typing import Final

SHORT_ROW_TOKENS: Final = 1024
"""A window of audio, its prompt, and as many words as can be spoken in it."""
FIRST_BLOCK: Final = 0
SPARE_TOKENS: Final = 1
"""The last position of a row receives the values of a row that does not take part in a pass."""


@dataclass(frozen=True, slots=True)
class Row:
    block: int
    index: int


@dataclass(slots=True)
class Block:
    row_tokens: int
    rows: int
    free: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.free = list(range(self.rows))

    @property
    def tokens(self) -> int:
        return self.row_tokens * self.rows

    @property
    def is_empty(self) -> bool:
        return len(self.free) == self.rows


class RowPlan:
    """`budget_tokens` limits the sum of all blocks."""

    def __init__(self, slots: int, budget_tokens: int) -> None:
        first = Block(SHORT_ROW_TOKENS, slots)
        self.longest_tokens = self.longest_beside(slots, budget_tokens)
        """The longest request that gets a row once others have ended."""
        assert self.longest_tokens > SHORT_ROW_TOKENS, "the first block leaves nothing for longer requests"
        self._budget_tokens = budget_tokens
        self._block_tokens = first.tokens
        self._next = FIRST_BLOCK + 1
        self.blocks: dict[int, Block] = {FIRST_BLOCK: first}

    @staticmethod
    def longest_beside(slots: int, budget_tokens: int) -> int:
        """The longest request that fits into the budget in addition to the first block; less than 0 if none does."""
        spare = budget_tokens - slots * SHORT_ROW_TOKENS
        return spare // SHORT_ROW_TOKENS * SHORT_ROW_TOKENS - SPARE_TOKENS

    def is_short(self, tokens: int) -> bool:
        return tokens + SPARE_TOKENS <= SHORT_ROW_TOKENS

    def take(self, tokens: int) -> Row | None:
        """A row for a request of this length, or None while its memory is in use."""
        assert self.is_short(tokens) or tokens <= self.longest_tokens, "no row can be this long"
        wanted = self._row_tokens(tokens + SPARE_TOKENS)
        free = {number: block.row_tokens for number, block in self.blocks.items() if block.free}
        fitting = next((number for number, length in free.items() if length == wanted), None)
        if fitting is None:
            fitting = self._new_block(wanted)
        if fitting is None:
            longer = [(length, number) for number, length in free.items() if number in self.blocks and length > wanted]
            fitting = min(longer)[1] if longer else None
        return None if fitting is None else self._lowest(fitting)

    def release(self, row: Row) -> None:
        block = self.blocks[row.block]
        assert row.index not in block.free, "a row is released once"
        block.free.append(row.index)

    def _row_tokens(self, tokens: int) -> int:
        """Lengths double, so that there are few of them; beyond a block's size every row has its own block."""
        length = SHORT_ROW_TOKENS
        while length < tokens:
            length *= 2
        if length <= min(self._block_tokens, self.longest_tokens):
            return length
        return -(-tokens // SHORT_ROW_TOKENS) * SHORT_ROW_TOKENS

    def _lowest(self, number: int) -> Row:
        """Low rows first: a pass covers all rows up to the highest in use."""
        block = self.blocks[number]
        index = min(block.free)
        block.free.remove(index)
        return Row(number, index)

    def _new_block(self, row_tokens: int) -> int | None:
        if row_tokens == SHORT_ROW_TOKENS:
            return None
        idle = [number for number, block in self.blocks.items() if number != FIRST_BLOCK and block.is_empty]
        if self._spare_tokens + sum(self.blocks[number].tokens for number in idle) < row_tokens:
            return None
        while self._spare_tokens < row_tokens:
            del self.blocks[idle.pop()]  # the newest first: steps over the oldest one are recorded
        number, self._next = self._next, self._next + 1
        rows = min(max(self._block_tokens // row_tokens, 1), self._spare_tokens // row_tokens)
        self.blocks[number] = Block(row_tokens, rows)
        return number

    @property
    def _spare_tokens(self) -> int:
        return self._budget_tokens - sum(block.tokens for block in self.blocks.values())
