"""Downloads a recording from an HTTP address to a temporary file. Knows no audio and no server of ours."""

import contextlib
import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import BinaryIO, Final
from urllib.parse import quote, urlsplit, urlunsplit

from frontend.cli.failures import SourceError
from frontend.cli.http_get import request_of
from shared.version import VERSION
from voxtral_client.addresses import proxy_for, without_password
from voxtral_client.servers import reason_of

TIMEOUT_S: Final = 30.0
"""How long a server may send nothing."""
SCHEMES: Final = ("http", "https")
_KEPT: Final = "!#$%&'()*+,/:;=?@[]~"
"""Characters of an address that are not encoded; others, such as a space or é, may not be in a request."""
_PLAYLIST: Final = b"#EXTM3U"


@contextlib.contextmanager
def download(url: str) -> Iterator[BinaryIO]:
    """The content at an address. Raises `SourceError`."""
    try:
        parts = urlsplit(url)
        proxy, _ = proxy_for(url), parts.port
        url = urlunsplit(parts._replace(path=quote(parts.path, _KEPT), query=quote(parts.query, _KEPT)))
    except ValueError as error:
        raise SourceError(f"It is not an address: {error}.") from None
    if parts.scheme not in SCHEMES:
        raise SourceError("Only http and https addresses are downloaded; --live reads other streams.")
    with tempfile.TemporaryFile() as file:
        try:
            _fetch(url, proxy, file)
        except urllib.error.HTTPError as error:
            raise SourceError(f"The server answers with status {error.code} ({error.reason}).") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            way = "" if proxy is None else f" through the proxy {without_password(proxy)}"
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise SourceError(f"The download failed{way}: {reason_of(reason, TIMEOUT_S)}.") from None
        file.seek(0)
        if file.read(len(_PLAYLIST)) == _PLAYLIST:
            raise SourceError("It is a playlist of a stream: --live transcribes it.")
        file.seek(0)
        yield file


def _fetch(url: str, proxy: str | None, file: BinaryIO) -> None:
    proxies = {} if proxy is None else {urlsplit(url).scheme: proxy}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    request = request_of(url, **{"user-agent": f"voxtral/{VERSION}"})
    with opener.open(request, timeout=TIMEOUT_S) as response:
        shutil.copyfileobj(response, file)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
