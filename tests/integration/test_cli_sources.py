"""What `voxtral transcribe` reads besides files: raw samples, addresses of recordings, live streams, pipes."""

import functools
import json
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from redis import Redis

from shared.bus import keys
from tests.command import VOXTRAL, counted_s, run
from tests.integration.native_clients import tone, wav
from tests.stack import Stack, free_ports


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a web server with a recording and a stream."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("speech.wav", "naïve talk!.wav"):
        (folder / name).write_bytes(wav(2))
    write_stream(folder / "live.m3u8", 2)
    (folder / "local.m3u8").write_text(f"#EXTM3U\n#EXTINF:2,\nfile://{folder}/live0.ts\n#EXT-X-ENDLIST\n")
    handler = functools.partial(_Quiet, directory=str(folder))
    with serving(handler) as address:
        yield address


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def write_stream(path: Path, duration_s: int) -> None:
    """An HLS playlist and its segments, without speech."""
    with av.open(str(path), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}) as container:
        stream = container.add_stream("aac", rate=16_000)
        stream.layout = "mono"
        for position in range(0, duration_s * 16_000, 1000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, position
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("options", "samples"),
    [
        (["--encoding", "pcm_s16le"], tone(2)),
        (["--encoding", "pcmu", "--sample-rate", "8000"], b"\xff" * 16_000),
        (["--encoding", "pcm_s16le", "--channels", "2", "--live"], tone(2) * 2),
    ],
)
def test_raw_samples_are_read_from_a_pipe(stack: Stack, options: list[str], samples: bytes) -> None:
    done = run(stack, "transcribe", "-", *options, stdin=samples)

    assert (done.returncode, done.stderr) == (0, "")
    assert counted_s(done.stdout) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("mode", ["transcribe", "understand"])
def test_channels_of_raw_samples_are_separated(stack: Stack, channels: int, mode: str) -> None:
    options = ["--encoding", "pcm_s16le", "--channels", str(channels), "--channel-mode", "separate", "--mode", mode]

    done = run(stack, "transcribe", "-", *options, stdin=np.repeat(np.frombuffer(tone(2), "<i2"), channels).tobytes())

    assert (done.returncode, done.stderr) == (0, "")
    names = [f"Channel {channel}: " if mode == "transcribe" else "" for channel in range(channels)]
    assert done.stdout.splitlines() == [f"{name}2 seconds" for name in names]


def test_raw_samples_are_read_from_a_device(stack: Stack) -> None:
    done = run(stack, "transcribe", "/dev/null", "--encoding", "pcm_s16le")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_raw_samples_are_read_from_a_file_and_for_a_question(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "speech.raw").write_bytes(tone(2))

    done = run(stack, "transcribe", tmp_path / "speech.raw", "--encoding", "pcm_s16le", "--mode", "understand")

    assert (done.returncode, counted_s(done.stdout)) == (0, 2)


def stored_options(stack: Stack) -> dict[str, dict[str, Any]]:
    """The options of all sessions that Redis knows."""
    with Redis.from_url(stack.redis_url) as redis:
        names = list(redis.scan_iter(match=keys.session("*"), count=1000))
        return {name.decode(): json.loads(redis.hget(name, "options") or "{}") for name in names}


@pytest.mark.parametrize(
    ("arguments", "is_recording"),
    [
        (["talk.wav"], True),
        (["talk.wav", "--live"], False),
        (["talk.raw", "--encoding", "pcm_s16le"], True),
        (["-", "--encoding", "pcm_s16le"], False),
    ],
)
def test_what_exists_as_a_whole_is_transcribed_as_a_recording(
    stack: Stack, tmp_path: Path, arguments: list[str], is_recording: bool
) -> None:
    (tmp_path / "talk.wav").write_bytes(wav(1))
    (tmp_path / "talk.raw").write_bytes(tone(1))
    earlier = stored_options(stack)
    source = arguments[0] if arguments[0] == "-" else tmp_path / arguments[0]
    done = run(stack, "transcribe", source, *arguments[1:], stdin=tone(1))
    assert (done.returncode, done.stderr) == (0, "")
    [options] = [value for name, value in stored_options(stack).items() if name not in earlier]
    assert options.get("recording", False) == is_recording


def test_recordings_are_downloaded(stack: Stack, site: str) -> None:
    done = run(stack, "transcribe", f"{site}/none.wav", f"{site}/speech.wav", http_proxy="http://127.0.0.1:1")

    assert (done.returncode, counted_s(done.stdout)) == (1, 2)
    assert done.stderr == f"{site}/none.wav: The server answers with status 404 (File not found).\n"


def test_recordings_are_downloaded_with_the_password_of_the_address(stack: Stack) -> None:
    class Guarded(BaseHTTPRequestHandler):
        log_message = _Quiet.log_message

        def do_GET(self) -> None:
            if self.headers["Authorization"] != f"Basic {b64encode(b'anna:s:e/t').decode()}":
                self.send_error(401)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(wav(2))

    with serving(Guarded) as address:
        guarded = address.replace("://", "://anna:s:e%2ft@")
        done = run(stack, "transcribe", f"{guarded}/a.wav", f"{address}/b.wav")

    assert (done.returncode, counted_s(done.stdout)) == (1, 2)
    assert done.stdout.startswith(f"==> {address}/a.wav <==")
    assert done.stderr == f"{address}/b.wav: The server answers with status 401 (Unauthorized).\n"


@pytest.mark.parametrize("address", ["http://[::1/b.wav", "http://host:x/b.wav", "http://a..b/b.wav", "http:///b.wav"])
def test_text_that_is_no_address_does_not_stop_the_other_files(stack: Stack, site: str, address: str) -> None:
    done = run(stack, "transcribe", address, f"{site}/speech.wav")

    assert (done.returncode, counted_s(done.stdout)) == (1, 2)
    assert done.stderr.startswith(f"{address}: ")
    assert done.stderr.count("\n") == 1


def test_address_may_have_any_characters(stack: Stack, site: str) -> None:
    done = run(stack, "transcribe", f"{site}/naïve talk%21.wav?a=é b")

    assert (done.returncode, counted_s(done.stdout), done.stderr) == (0, 2, "")


def test_playlist_is_transcribed_live(stack: Stack, site: str) -> None:
    refused = run(stack, "transcribe", f"{site}/live.m3u8")
    done = run(stack, "transcribe", "--live", f"{site}/live.m3u8", "--format", "json", http_proxy="http://127.0.0.1:1")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--live transcribes it" in refused.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["duration"] == pytest.approx(2, abs=0.2)


def test_streams_that_cannot_be_read_are_explained(stack: Stack, site: str) -> None:
    nowhere = f"rtsp://127.0.0.1:{free_ports(1)[0]}/live"
    done = run(stack, "transcribe", "--live", f"{site}/none.m3u8", f"{site}/local.m3u8", nowhere)

    assert done.returncode == 1
    missing, local, refused = done.stderr.splitlines()
    assert missing == f"{site}/none.m3u8: The stream cannot be opened: Server returned 404 Not Found."
    assert local.startswith(f"{site}/local.m3u8: The stream")  # it may not open a file of this machine
    assert refused == f"{nowhere}: The stream cannot be opened: Connection refused."


@pytest.mark.parametrize("options", [[], ["--live"]])
def test_address_of_a_file_is_not_taken(stack: Stack, options: list[str]) -> None:
    done = run(stack, "transcribe", "file:///a.wav", *options)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "file:///a.wav: give the path of the file instead of an address.\n"


def test_standard_input_may_be_closed(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(2))
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", VOXTRAL, "transcribe", tmp_path / "a.wav", "-"],
        env=stack.env,
        cwd=stack.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, counted_s(done.stdout)) == (1, 2)
    assert done.stderr == "-: standard input is closed.\n"


def test_pipe_with_a_container_is_transcribed_while_it_arrives(stack: Stack) -> None:
    done = run(stack, "transcribe", "--live", "-", stdin=wav(1))

    assert (done.returncode, done.stderr) == (0, "")
    assert counted_s(done.stdout) == 1
