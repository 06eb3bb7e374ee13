"""Variables are read from model files of every precision."""

from pathlib import Path

import numpy as np
import pytest

from tests.tiny.whisper import MULTILINGUAL, write_whisper
from worker.engines.whisper.onnx_model.variables import UnknownFormatError, Variables

WEIGHT = "decoder/layer_0/ffn/linear_0/weight"
PRECISIONS = {"float16": 1e-3, "bfloat16": 1e-2, "int8": 1e-2, "int16": 1e-3}
"""How far values may be from those in float32, as a part of the largest one."""


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Variables:
    return Variables(write_whisper(tmp_path_factory.mktemp("float32"), MULTILINGUAL) / "model.bin")


def test_names_shapes_and_numbers_are_read(exact: Variables) -> None:
    assert WEIGHT in exact
    assert "decoder/layer_9/ffn/linear_0/weight" not in exact
    assert exact.shape(WEIGHT) == (4 * MULTILINGUAL.width, MULTILINGUAL.width)
    assert exact.number("decoder/num_heads", 8) == MULTILINGUAL.heads
    assert exact.number("decoder/unknown", 8) == 8


def test_an_alias_has_the_values_of_its_variable(exact: Variables) -> None:
    np.testing.assert_array_equal(exact.floats("decoder/projection/weight"), exact.floats("decoder/embeddings/weight"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_gives_the_same_values(precision: str, exact: Variables, tmp_path: Path) -> None:
    found = Variables(write_whisper(tmp_path, MULTILINGUAL, quantization=precision) / "model.bin")
    expected = exact.floats(WEIGHT)
    np.testing.assert_allclose(found.floats(WEIGHT), expected, atol=PRECISIONS[precision] * np.abs(expected).max())
    for rows in (np.array([3, 1]), np.array([[3, 1, 2]]), np.array([[3, 1], [0, 2]])):
        np.testing.assert_array_equal(found.floats(WEIGHT, rows), found.floats(WEIGHT)[rows])
    np.testing.assert_array_equal(found.floats("decoder/projection/weight"), found.floats("decoder/embeddings/weight"))
    assert np.abs(found.floats("decoder/projection/weight")).max() < 1


@pytest.mark.parametrize(
    "content", [b"", b"\3\0\0\0", b"\6\0\0\0\xff\xff", b"\6\0\0\0" + b"\1\0\0" + b"\0" * 4 + b"\x09"]
)
def test_other_files_are_rejected(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(UnknownFormatError, match="cannot be read"):
        Variables(tmp_path / "model.bin")


def test_a_cut_file_is_rejected(tmp_path: Path) -> None:
    path = write_whisper(tmp_path / "model") / "model.bin"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnknownFormatError):
        Variables(path)
