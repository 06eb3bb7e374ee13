"""The reader of PyTorch's older files: it reads what PyTorch reads, and executes nothing."""

import io
import os
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from worker.speakers.checkpoint import read_tensors


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def test_tensors_are_read_as_pytorch_has_saved_them() -> None:
    tensors = OrderedDict(one=torch.randn(3, 4), two=torch.randn(5))
    read = read_tensors(saved({"step": 7, "model_state": tensors, "other": torch.randn(2)}), "model_state")
    assert read.keys() == tensors.keys()
    assert all(np.array_equal(read[name], tensors[name].numpy()) for name in tensors)


class Harmful:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo executed",)


@pytest.mark.parametrize("value", [{"model_state": Harmful()}, {"model_state": {"one": torch.zeros(2).double()}}])
def test_anything_but_tensors_of_floats_is_rejected(value: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"not allowed|only storages"):
        read_tensors(saved(value), "model_state")
    assert "executed" not in capfd.readouterr().out


def test_other_files_are_rejected() -> None:
    with pytest.raises(ValueError, match="not a file of this format"):
        read_tensors(pickle.dumps(5) * 3, "model_state")


def test_tensor_that_is_not_contiguous_is_rejected() -> None:
    with pytest.raises(ValueError, match="not contiguous"):
        read_tensors(saved({"model_state": {"one": torch.randn(3, 4).t()}}), "model_state")
