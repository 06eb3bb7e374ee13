"""Which files make a model, and the one sentence for a directory that holds none."""

from pathlib import Path

import pytest

from shared.errors import StartupError
from tests.sherpa_models import set_metadata, write_ctc, write_tokens, write_transducer
from worker.engines.sherpa.files import Kind, find_model
from worker.engines.sherpa.metadata import onnx_metadata


def refused(path: Path | None, sentence: str) -> None:
    with pytest.raises(StartupError, match=sentence):
        find_model(path, "sherpa")


def test_ctc_model_is_found(tmp_path: Path) -> None:
    found = find_model(write_ctc(tmp_path), "sherpa")
    assert (found.kind, found.compute_type, found.is_nemo) == (Kind.ZIPFORMER2_CTC, "float32", False)
    assert found.networks == {"model": tmp_path / "model.onnx"}
    assert found.tokens == tmp_path / "tokens.txt"


def test_transducer_is_found_by_the_usual_names(tmp_path: Path) -> None:
    found = find_model(write_transducer(tmp_path, suffix="-epoch-99-avg-1"), "sherpa")
    assert found.kind is Kind.TRANSDUCER
    assert {part: file.name for part, file in found.networks.items()} == {
        part: f"{part}-epoch-99-avg-1.onnx" for part in ("encoder", "decoder", "joiner")
    }


def test_int8_is_preferred_and_half_precision_comes_last(tmp_path: Path) -> None:
    for suffix in (".fp16", "", ".int8"):
        write_transducer(tmp_path, suffix=suffix)
    found = find_model(tmp_path, "sherpa")
    assert found.compute_type == "int8"
    assert {file.name for file in found.networks.values()} == {
        "encoder.int8.onnx",
        "decoder.int8.onnx",
        "joiner.int8.onnx",
    }
    (tmp_path / "encoder.int8.onnx").unlink()
    assert find_model(tmp_path, "sherpa").compute_type == "float32"
    (tmp_path / "encoder.onnx").unlink()
    assert find_model(tmp_path, "sherpa").compute_type == "float16"


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"model_type": "wenet_ctc"}, Kind.WENET_CTC),
        ({"model_type": "EncDecCTCModelBPE", "window_size": "105", "chunk_shift": "56"}, Kind.NEMO_CTC),
    ],
)
def test_kind_of_a_single_file_is_in_its_metadata(tmp_path: Path, metadata: dict[str, str], kind: Kind) -> None:
    set_metadata(write_ctc(tmp_path) / "model.onnx", metadata)
    assert find_model(tmp_path, "sherpa").kind is kind


def test_encoder_and_decoder_alone_are_a_paraformer(tmp_path: Path) -> None:
    write_transducer(tmp_path)
    (tmp_path / "joiner.onnx").unlink()
    refused(tmp_path, r"lacks joiner\*\.onnx; allowed: tokens\.txt with encoder")
    set_metadata(tmp_path / "encoder.onnx", {"model_type": "lstm"})
    refused(
        tmp_path, r"encoder\.onnx is not a streaming model .*its model_type is 'lstm'.*allowed: streaming zipformer"
    )
    set_metadata(tmp_path / "encoder.onnx", {"lfr_window_size": "7", "neg_mean": "0"})
    assert find_model(tmp_path, "sherpa").kind is Kind.PARAFORMER


def test_offline_model_is_refused(tmp_path: Path) -> None:
    set_metadata(write_ctc(tmp_path) / "model.onnx", {"model_type": "zipformer2", "comment": "non-streaming"})
    refused(tmp_path, r"is not a streaming model that sherpa-onnx supports \(its model_type is 'zipformer2'\)")


def test_missing_path_is_named(tmp_path: Path) -> None:
    refused(None, r"model\.name is 'sherpa', which needs model\.path; .* tokens\.txt with encoder\*\.onnx")
    refused(tmp_path / "none", r"model\.path is '.*none', which is not a directory")


def test_missing_files_are_named(tmp_path: Path) -> None:
    refused(tmp_path, r"lacks encoder\*\.onnx or model\*\.onnx and tokens\.txt; allowed: tokens\.txt with encoder")
    write_transducer(tmp_path)
    (tmp_path / "decoder.onnx").unlink()
    refused(tmp_path, r"lacks decoder\*\.onnx;")
    (tmp_path / "tokens.txt").unlink()
    refused(tmp_path, r"lacks decoder\*\.onnx and tokens\.txt;")


def test_several_models_in_one_directory_are_refused(tmp_path: Path) -> None:
    write_ctc(tmp_path, name="model-a.onnx")
    write_ctc(tmp_path, name="model-b.onnx")
    refused(tmp_path, r"several files for model\*\.onnx \(model-a\.onnx, model-b\.onnx\); keep only one")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it has no graph"),
        (b"<!DOCTYPE html><html>", "it "),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "it "),
        (b"\xff" * 40, "it is not a protobuf message"),
    ],
)
def test_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (write_ctc(tmp_path) / "model.onnx").write_bytes(content)
    refused(tmp_path, rf"model\.onnx cannot be read as an ONNX model: {reason}.*; copy the model again")


def test_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    file = write_ctc(tmp_path) / "model.onnx"
    content = file.read_bytes()
    for length in (1, 2, 40, len(content) - 1):
        file.write_bytes(content[:length])
        refused(tmp_path, r"cannot be read as an ONNX model: it (is cut off|has no graph|is not a protobuf message);")


def test_decoder_that_is_no_model_is_refused_too(tmp_path: Path) -> None:
    (write_transducer(tmp_path) / "joiner.onnx").write_bytes(b"")
    refused(tmp_path, r"joiner\.onnx cannot be read as an ONNX model")


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("<blk> 0\n▁hello\n", r"tokens\.txt has the line '▁hello'; allowed: a token and its number"),
        ("", r"tokens\.txt has no blank token; one of <blank>, <blk>, <eps> must be in it"),
        ("▁a 0\n▁b 1\n", r"tokens\.txt has no blank token"),
    ],
)
def test_tokens_that_cannot_be_used_are_refused(tmp_path: Path, tokens: str, sentence: str) -> None:
    (write_ctc(tmp_path) / "tokens.txt").write_text(tokens, encoding="utf-8")
    refused(tmp_path, sentence)


def test_tokens_of_another_model_are_refused(tmp_path: Path) -> None:
    write_tokens(write_transducer(tmp_path), ("<blk>", "▁a", "▁b"))
    refused(tmp_path, r"tokens\.txt holds 3 tokens, but the model has 8; copy the file that belongs to the model")


def test_tokens_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (write_ctc(tmp_path) / "tokens.txt").write_bytes(b"\xff\xfe\x00")
    refused(tmp_path, r"tokens\.txt cannot be read: ")


def test_space_may_be_a_token(tmp_path: Path) -> None:
    write_tokens(write_ctc(tmp_path), ("<blk>", "a", " "))
    assert find_model(tmp_path, "sherpa").kind is Kind.ZIPFORMER2_CTC


def test_metadata_is_what_the_library_of_onnx_wrote(tmp_path: Path) -> None:
    file = write_ctc(tmp_path) / "model.onnx"
    written = {"model_type": "zipformer2", "long": "x" * 100_000, "empty": "", "名": "值"}
    set_metadata(file, written)
    assert onnx_metadata(file) == written


def test_home_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_ctc(tmp_path / "model")
    assert find_model(Path("~/model"), "sherpa").tokens == tmp_path / "model" / "tokens.txt"
