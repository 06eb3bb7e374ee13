"""starlette still has what `frontend.api.multipart` relies on."""

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from tests.internals import Canary

canary = Canary("starlette", "frontend/api/multipart.py")


def test_parser_has_what_we_read() -> None:
    async def body():
        yield b""

    parser = MultiPartParser(Headers({"content-type": "multipart/form-data; boundary=b"}), body())
    canary.has(parser, "_charset", "_current_part", "_files_to_close_on_error", "on_end", "on_headers_finished")
    canary.has(parser._current_part, "content_disposition")
    used = ("_charset", "_current_part", "content_disposition", "_files_to_close_on_error")
    canary.calls(MultiPartParser.on_headers_finished, *used)
    canary.calls(MultiPartParser.on_part_end, "_charset")
    canary.calls(MultiPartParser.parse, "on_end", "on_headers_finished")
