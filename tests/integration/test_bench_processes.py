"""The memory and CPU time that benches print are those of all processes of a service, also of its decoders."""

from tests.bench.processes import cpu_s, rss_mib
from tests.integration import decoding
from tests.integration.api_clients import post_form
from tests.stack import Stack
from tests.unit.shared.audio.test_files import made


def test_decoders_count_too(stack: Stack) -> None:
    assert post_form(stack, "/v1/audio/transcriptions", made("flac"), model="echo")[0] == 200
    web = stack.processes["web"].pid
    assert rss_mib(stack)["below web"] > 1
    (server,) = decoding.children(web)
    used_s = sum(decoding.cpu_s(pid) for pid in (server, *(one.pid for one in stack.processes.values())))
    assert cpu_s(stack) >= used_s
