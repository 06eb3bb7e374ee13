"""The locks: every package is pinned, and pip accepts no file whose hash is not listed."""

import re

import pytest

from tests.stack import PROJECT

UNCHECKED = "torch-cu126"
"""Of PyTorch's own index, which not everyone can reach: its hashes are checked once `make lock` has written them."""
LOCKS = sorted(lock for lock in (PROJECT / "requirements").glob("*.txt") if lock.stem != UNCHECKED)
REQUIREMENT = re.compile(r"([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)")
TORCH_ONLY = re.compile(r"(cuda|nvidia)-|(torch|triton)$")


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package. A package may come twice, with markers."""
    text = (PROJECT / "requirements" / f"{name}.txt").read_text().replace("\\\n", "")
    found: dict[str, tuple[str, int]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = REQUIREMENT.match(line)
            assert match is not None, line
            found[match[1]] = match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line))
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_of_a_lock_has_hashes(lock: object) -> None:
    packages = locked(lock.stem)  # type: ignore[attr-defined]
    assert packages
    assert [name for name, (_, hashes) in packages.items() if not hashes] == []


def test_locks_agree_on_versions() -> None:
    voxtral, dev = locked("voxtral"), locked("dev")
    for name, (version, _) in locked("base").items():
        assert voxtral[name][0] == dev[name][0] == version
    assert locked("torch-cpu")["torch"][0] == f"{voxtral['torch'][0]}+cpu"
    assert locked(UNCHECKED)["torch"][0] == f"{voxtral['torch'][0]}+cu126"


def test_tests_bring_no_cuda() -> None:
    assert [name for name in locked("dev") if TORCH_ONLY.match(name)] == [
        "nvidia-ml-py",  # Python only
        "triton",  # its interpreter runs kernels on a CPU
    ]
    assert [name for name in locked("voxtral") if TORCH_ONLY.match(name)]


@pytest.mark.parametrize("file", ["compose/install.sh", "compose/Dockerfile"])
def test_installations_require_the_hashes(file: str) -> None:
    assert "--require-hashes" in (PROJECT / file).read_text()
