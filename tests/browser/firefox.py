"""Headless Firefox, as the system's packages install it, over WebDriver BiDi (https://w3c.github.io/webdriver-bidi/)."""

import asyncio
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from tests.limits import limit_s

FIREFOX: Final = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
PREFERENCES: Final[dict[str, Any]] = {
    "media.navigator.streams.fake": True,  # the microphone is a tone
    "media.navigator.permission.disabled": True,  # and its user allows it
    "media.cubeb.force_mock_context": True,  # audio runs without a sound card
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.downloads.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.server": "",
}
_LISTENS: Final = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_UNTIL: Final = """
    new Promise((resolve, reject) => {
        const deadline = Date.now() + %d;
        const look = async () => {
            const value = %s;
            if (value) resolve(value);
            else if (Date.now() > deadline) reject(new Error(`is still ${value}: ${document.body.innerText}`));
            else setTimeout(() => look().catch(reject), 50);
        };
        look().catch(reject);
    })
"""


class ScriptError(Exception):
    """JavaScript in the page has failed."""


class Tab:
    """A tab of a browser that has one session."""

    def __init__(self, socket: ClientConnection, context: str) -> None:
        self._socket = socket
        self._context = context
        self._ids = itertools.count(100)
        self.troubles: list[str] = []
        """Errors of scripts, and violations of the page's security policy."""

    async def open(self, url: str) -> None:
        await self._command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def reload(self) -> None:
        await self._command("browsingContext.reload", context=self._context, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited: a string, a number, a truth or None. Raises ScriptError."""
        return (await self._evaluated(expression)).get("value")

    async def until(self, expression: str) -> Any:
        """The value of an expression when it is true. Raises ScriptError if it never is."""
        return await self.evaluate(_UNTIL % (limit_s(30) * 1000, expression))

    async def click(self, selector: str) -> None:
        """Clicks with the mouse, when the element is visible."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.until(f"!!{found}?.checkVisibility() && !{found}.disabled")
        element = await self._evaluated(f"({found}.scrollIntoView({{block: 'center'}}), {found})")
        origin = {"type": "element", "element": {"sharedId": element["sharedId"]}}
        actions = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": actions}
        await self._command("input.performActions", context=self._context, actions=[mouse])

    async def _evaluated(self, expression: str) -> dict[str, Any]:
        result = await self._command(
            "script.evaluate", expression=expression, target={"context": self._context}, awaitPromise=True
        )
        if result["type"] == "exception":
            raise ScriptError(f"{expression}: {result['exceptionDetails']['text']}")
        value: dict[str, Any] = result["result"]
        return value

    async def _command(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(limit_s(60)):
            while True:
                message = json.loads(await self._socket.recv())
                if message["type"] == "event":
                    self._note(message["params"])
                elif message["id"] == number:
                    assert message["type"] == "success", message
                    return message["result"]

    def _note(self, entry: dict[str, Any]) -> None:
        text = str(entry.get("text"))
        if (entry.get("type") == "javascript" and entry["level"] == "error") or "Security-Policy" in text:
            self.troubles.append(text)


@asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[Tab]:
    """A new browser of a new user, whose microphone is a tone. Ends with the block."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    assert FIREFOX is not None
    process = await asyncio.create_subprocess_exec(
        *(FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with connect(f"{await _address(process)}/session", max_size=None) as socket:
            yield await _tab(socket)
    finally:
        process.terminate()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(limit_s(60)):
        async for line in process.stderr:
            said += line
            if found := _LISTENS.search(line.decode(errors="replace")):
                return found[1]
    raise AssertionError(f"Firefox has ended: {said.decode(errors='replace')}")


async def _tab(socket: ClientConnection) -> Tab:
    starting = Tab(socket, "")
    await starting._command("session.new", capabilities={})
    tree = await starting._command("browsingContext.getTree")
    tab = Tab(socket, tree["contexts"][0]["context"])
    await tab._command("session.subscribe", events=["log.entryAdded"])
    return tab
