"""What Redis has written to its disk."""

from pathlib import Path

from redis.asyncio import Redis

from tests.integration.workers import until


def is_on_disk(data_dir: Path, *words: bytes) -> bool:
    """Whether any of the files under the directory holds any of these words."""
    return any(word in content for content in map(_content, data_dir.rglob("*")) for word in words)


async def until_gone(data_dir: Path, *words: bytes) -> None:
    async def is_gone() -> bool:
        return not is_on_disk(data_dir, *words)

    await until(is_gone, timeout_s=30)


async def without_compression(redis: Redis) -> None:
    """Disable compression, which would hide words in a rewritten file."""
    await redis.config_set("rdbcompression", "no")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:  # Redis has replaced it
        return b""
