"""What a pass of Voxtral Realtime asks of a GPU: how many operations, each launched for itself; nothing of the host."""

import pytest

from tests.fake_device import DEVICE, Counting, counted_pass, published_config
from worker.engines.voxtral_realtime.speaking import CHUNK

CONFIG = published_config()
LAYERS = CONFIG.audio_config.num_hidden_layers + CONFIG.text_config.num_hidden_layers
PRODUCTS = ("mm", "addmm", "bmm")


@pytest.fixture(scope="module")
def counted() -> Counting:
    return counted_pass(CONFIG, rows=3, text_window=2048)


def test_pass_needs_nothing_of_the_host(counted: Counting) -> None:
    assert counted.devices == {DEVICE}


def test_projections_of_the_same_input_are_one_product(counted: Counting) -> None:
    """Queries, keys and values; output; gate and up; down. The projector has two, and one is the mel filters.
    The output layer is one on CUDA, and in chunks elsewhere."""
    chunks = CONFIG.text_config.vocab_size // CHUNK
    assert sum(counted.kernels[name] for name in PRODUCTS) == 4 * LAYERS + 2 + 1 + chunks


def test_pass_launches_fewer_than_1300_kernels(counted: Counting) -> None:
    assert counted.kernels["scaled_dot_product_attention"] == LAYERS
    assert counted.kernels["rms_norm"] == 2 * LAYERS + 2
    assert counted.kernels.total() < 1300, counted.kernels


def test_what_the_layers_make_of_the_delay_is_not_computed_again(counted: Counting) -> None:
    """The convolutions and the projector have the only activations of this kind."""
    assert counted.kernels["gelu"] == 3


def test_masks_are_made_once_for_all_layers(counted: Counting) -> None:
    assert counted.kernels["masked_fill_"] == 2
    assert counted.kernels["repeat"] == 1
