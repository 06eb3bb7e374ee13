"""The fake device shows a pass that needs the host, and counts kernels."""

from collections.abc import Callable

import pytest
import torch

from tests.fake_device import DEVICE, Counting, fake_device


def reads_a_value() -> None:
    torch.zeros(3, device=DEVICE).sum().item()


def reads_all_values() -> None:
    torch.zeros(3, device=DEVICE).tolist()


def chooses_by_values() -> None:
    torch.zeros(3, device=DEVICE).nonzero()


def copies_to_the_host() -> None:
    torch.zeros(3, device=DEVICE).to("cpu")


def adds_a_number_of_the_host() -> None:
    torch.zeros(3, device=DEVICE) + torch.tensor(1.0)


def makes_a_tensor_on_the_host() -> None:
    torch.tensor([1.0, 2.0], device=DEVICE)


FAULTS = [
    reads_a_value,
    reads_all_values,
    chooses_by_values,
    copies_to_the_host,
    adds_a_number_of_the_host,
    makes_a_tensor_on_the_host,
]


@pytest.mark.parametrize("fault", FAULTS)
def test_pass_that_needs_the_host_would_be_noticed(fault: Callable[[], None]) -> None:
    """Each of these would fail in a recording, or would let the host wait."""
    counting = Counting()
    try:
        with fake_device(), counting:
            fault()
    except (RuntimeError, NotImplementedError):  # the base of what fake tensors raise where values are asked for
        return
    assert counting.devices != {DEVICE}


def test_views_launch_nothing_and_attention_is_one_kernel() -> None:
    counting = Counting()
    with fake_device(), counting.whole():
        query = torch.empty(1, 2, 8, 16, device=DEVICE)
        torch.nn.functional.scaled_dot_product_attention(query, query, query).transpose(1, 2)[:, 0].add_(1)
    assert dict(counting.kernels) == {"scaled_dot_product_attention": 1, "add_": 1}
