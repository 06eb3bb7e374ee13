"""How many sessions of the published Voxtral Realtime fit into the memory of six cards."""

import pytest

from shared.errors import StartupError
from tests.gpu.cards import CARDS, CONTEXT_BYTES, MIB, WEIGHTS_BYTES, Card, published_config, slots, small_weights_bytes
from worker.engines.loading.checkpoints import WORKING_SHARE
from worker.engines.voxtral_realtime.sizes import row_bytes

SLOTS = {
    "RTX A4000 16 GB": (13, 5),
    "RTX A4500 20 GB": (23, 9),
    "RTX 4090 24 GB": (34, 13),
    "L40S 48 GB": (83, 32),
    "H100 80 GB": (163, 63),
    "H200 141 GB": (303, 118),
}
"""At text windows of 2048 and 8192 positions, with `model.slots` unset."""


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_card_has_memory_for_so_many_sessions(card: Card) -> None:
    assert (slots(card.free_bytes, 2048), slots(card.free_bytes, 8192)) == SLOTS[card.name]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
@pytest.mark.parametrize("text_window", [2048, 8192])
def test_sessions_leave_a_reserve_on_each_card(card: Card, text_window: int) -> None:
    """A tenth of what is free and 2 GiB stay, and one session more would go into them."""
    size = row_bytes(published_config(), text_window, 2)
    left = card.free_bytes - slots(card.free_bytes, text_window) * size
    assert left >= max(2 * 2**30, card.free_bytes // 10)
    assert left < max(2 * 2**30, card.free_bytes // 10) + 2 * size


def test_card_of_11_gb_has_memory_for_none() -> None:
    free_bytes = 11_264 * MIB - CONTEXT_BYTES
    assert free_bytes > WORKING_SHARE * WEIGHTS_BYTES, "the weights fit"
    with pytest.raises(StartupError, match=r"model\.slots is unset, but 0 slots of 0\.419 GB fit"):
        slots(free_bytes - WEIGHTS_BYTES, 2048)


def test_small_cards_serve_sessions_with_weights_of_8_bits() -> None:
    """As docs/models.md says it; `kv_dtype: auto` takes fp8 on the card of 8 GB, since 2 sessions are fewer than 4."""
    assert round(small_weights_bytes() / 1e9, 1) == 4.9
    free_8_gb, free_12_gb = (mib * MIB - CONTEXT_BYTES - small_weights_bytes() for mib in (8_188, 12_282))
    assert (slots(free_8_gb, 2048), slots(free_8_gb, 2048, fp8=True)) == (2, 5)
    assert (slots(free_12_gb, 2048), slots(free_12_gb, 2048, fp8=True)) == (12, 24)
