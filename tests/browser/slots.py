"""A service whose slots are all taken."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from websockets.asyncio.client import connect

from tests.stack import Stack


@asynccontextmanager
async def all_taken(stack: Stack) -> AsyncIterator[None]:
    async with AsyncExitStack() as others:
        opened = [await others.enter_async_context(connect(stack.ws_url)) for _ in range(stack.settings.model.slots)]
        for other in opened:
            await other.send('{"type": "start"}')
        for other in opened:
            assert json.loads(await other.recv())["type"] == "ready"
        yield
        for other in opened:
            await other.send('{"type": "cancel"}')
