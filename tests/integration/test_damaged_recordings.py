"""Damaged recordings, to decoders and to a running service."""

import asyncio
import os
import signal
import struct
from collections import Counter
from pathlib import Path

import pytest

from frontend.decoding.decoders import Decoders
from shared.bus import keys
from shared.bus.connect import connect
from tests.command import counted_s, run
from tests.fuzz.decoding import GROWTH_BYTES, Report, answer, fuzz
from tests.fuzz.mutants import bases, mutants
from tests.integration.api_clients import multipart, post_form, request
from tests.integration.decoding import server_of, told
from tests.integration.native_clients import FRONTENDS, ask, base64_of, open_client
from tests.keys import KeyList
from tests.stack import Stack
from tests.unit.shared.audio.test_files import made
from tests.unit.shared.audio.test_tables import MILLIONS, announcing, compressed_frame, id3, pointing_far, rebuilt

MEBIBYTE = 1 << 20
PATH = "/v1/audio/transcriptions"


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    (line,) = (line for line in told(pid, "status").splitlines() if line.startswith(b"VmHWM"))
    return int(line.split()[1]) * 1024


async def test_damaged_recordings_crash_nothing_and_take_no_more_than_they_may() -> None:
    report = await fuzz(mutants(seed=1, count=200))
    assert sum(report.answers.values()) == 200
    assert report.is_good
    assert report.answers["decoded"] > 20
    assert report.answers["invalid_audio"] > 20


@pytest.mark.parametrize(
    ("report", "is_good"),
    [
        (Report(Counter(decoded=1, invalid_audio=9), peak_bytes=1), True),
        (Report(Counter(invalid_audio=10)), False),
        (Report(Counter(decoded=9, hung=1)), False),
        (Report(Counter(decoded=9, crashed=1)), False),
        (Report(Counter(decoded=10), peak_bytes=GROWTH_BYTES), False),
    ],
)
def test_hangs_crashes_and_memory_are_faults(report: Report, is_good: bool) -> None:
    assert report.is_good == is_good


async def test_decoder_that_returns_nothing_counts_as_hung() -> None:
    async with Decoders.running(2, patience_s=10, stall_s=0.3) as decoders:
        await answer(made("flac"), decoders)  # it starts the server
        server = await server_of(decoders)
        os.kill(server, signal.SIGSTOP)
        try:
            assert await answer(made("flac"), decoders) == "hung"
        finally:
            os.kill(server, signal.SIGCONT)


def test_frontends_survive_recordings_that_broke_them(stack: Stack) -> None:
    before = {name: peak_bytes(stack.processes[name].pid) for name in FRONTENDS}
    surround = made("ogg-opus", 1.0, 8)
    for name in FRONTENDS:
        client = open_client(stack, name)
        for recording, kind in (
            (surround, "response"),
            (made("m4a-aac", 1.0, 8), "response"),
            (announcing(MILLIONS), "error"),
            (id3(compressed_frame(100)) + made("mp3")[10:], "response"),
        ):
            reply = ask(client, type="audio", audio_data=base64_of(recording))
            assert reply["type"] == kind, reply
            assert kind == "response" or reply["code"] == "invalid_audio"
        client.close()
    assert post_form(stack, PATH, surround, model="echo")[0] == 200
    status, body = post_form(stack, PATH, announcing(MILLIONS), model="echo")
    assert (status, body["error"]["code"]) == (400, "invalid_audio")
    assert "announces 80000000 samples" in body["error"]["message"]
    stack.check_alive()
    for name in FRONTENDS:
        assert peak_bytes(stack.processes[name].pid) - before[name] < 50 * MEBIBYTE


def test_service_answers_damaged_recordings(stack: Stack) -> None:
    errors = stack.output("web").count("internal_error")
    for content in mutants(seed=2, count=len(bases())):
        assert post_form(stack, PATH, content, model="echo")[0] in (200, 400)
    stack.check_alive()
    assert stack.output("web").count("internal_error") == errors


def test_damage_is_told_alike_in_memory_and_on_disk(stack: Stack) -> None:
    """Uploads of more than a megabyte are files, in which a decoder cannot seek wherever damage points to."""
    errors = stack.output("web").count("internal_error")
    for padding_bytes in (0, MEBIBYTE + 1000):
        status, body = post_form(stack, PATH, pointing_far(padding_bytes), model="echo")
        assert (status, body["error"]["code"]) == (400, "invalid_audio")
    assert stack.output("web").count("internal_error") == errors


def test_command_line_survives_recordings_that_broke_it(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "surround.ogg").write_bytes(made("ogg-opus", 2.0, 8))
    (tmp_path / "index.m4a").write_bytes(announcing(MILLIONS))
    done = run(stack, "transcribe", tmp_path / "index.m4a", tmp_path / "surround.ogg")
    assert done.returncode == 1
    assert counted_s(done.stdout.splitlines()[-1]) == pytest.approx(2, abs=0.01)
    assert "index.m4a: The MP4 file announces 80000000 samples" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_frontend_has_the_libraries_that_decode(stack: Stack) -> None:
    assert post_form(stack, PATH, made("flac"), model="echo")[0] == 200
    for name in FRONTENDS:
        assert b"libavformat" not in told(stack.processes[name].pid, "maps")


async def test_length_of_a_small_recording_counts_against_its_key(keyed_stack: Stack, key_list: KeyList) -> None:
    """An edit list plays the same two seconds 20 times: 40 s of audio in 20 KB."""
    edits = struct.pack(">II", 0, 20) + struct.pack(">IiI", 2000, 0, 0x10000) * 20
    headers, body = multipart(rebuilt(made("m4a-aac"), {b"elst": lambda _: edits}), model="echo")
    name = key_list.unused("long")
    headers |= {"X-API-Key": key_list.keys[name]}
    assert len(body) < 20_000
    response, _ = await asyncio.to_thread(request, keyed_stack, "POST", PATH, headers, body)
    assert response.status == 200
    store = connect(keyed_stack.settings)
    try:
        bucket_ms = await store.pttl(keys.audio_of(name))
    finally:
        await store.aclose()
    assert 30_000 < bucket_ms < 41_000, "of 60 s a minute 40 are used, and come back in 40 s"
