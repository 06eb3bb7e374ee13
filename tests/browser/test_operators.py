"""The operators' page in a browser: what it shows, its buttons, and its form for the key."""

import json
import re

import pytest
from playwright.async_api import expect
from websockets.sync.client import connect

from tests.browser.conftest import OpenPage
from tests.browser.test_accessibility import check
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack, listens, wait_until

pytestmark = pytest.mark.usefixtures("browsers")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
async def test_page_shows_sessions_and_is_accessible(
    stack: Stack, open_page: OpenPage, width: int, scheme: str
) -> None:
    with connect(stack.ws_url) as client:
        client.send(json.dumps({"type": "start", "sample_rate": 16000, "encoding": "pcm_s16le"}))
        session_id = json.loads(client.recv(timeout=limit_s(10)))["session_id"]
        page = await open_page(stack.health_url, viewport={"width": width, "height": 780}, color_scheme=scheme)
        [worker] = stack.status()["workers"]
        row = page.locator("#sessions tr", has_text=session_id)
        await expect(row.get_by_role("cell").nth(1)).to_have_text(worker["id"])
        await expect(page.locator("#workers")).to_contain_text("serving")
        await expect(page.locator("#mode")).to_contain_text("Read-only")
        await expect(page.get_by_role("button")).to_have_count(0)
        await check(page, "read-only")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_nothing_is_said_of_sessions_while_redis_does_not_answer(
    tmp_path_factory: pytest.TempPathFactory, open_page: OpenPage
) -> None:
    service = Stack(tmp_path_factory.mktemp("outage"))
    try:
        for name, port in (("redis", service.settings.redis.port), ("health", service.settings.server.health_port)):
            service.spawn(name)
            wait_until(lambda port=port: listens(port), f"{name} listens", 30)
        page = await open_page(service.health_url)
        await expect(page.locator("#sessions")).to_have_text(re.compile("No sessions."))
        await expect(page.locator("#figures dd").first).to_have_text("0")
        service.stop("redis")
        for place in ("#sessions", "#workers", "#errors"):
            await expect(page.locator(place)).to_contain_text("Unknown while Redis does not answer.")
        figures = page.locator("#figures dd")
        values = ["–"] * (await figures.count() - 1)
        await expect(figures).to_have_text([*values, "no answer"])
        await expect(page.locator("#sparklines strong")).to_have_text(["–"] * 3)
        lines = page.locator("#sparklines").get_by_role("img", name=re.compile("– now, – at most$"))
        await expect(lines).to_have_count(3)
    finally:
        service.stop_all()


async def test_operator_enters_a_key_and_ends_a_session(
    keyed_stack: Stack, key_list: KeyList, open_page: OpenPage
) -> None:
    headers = {"authorization": f"Bearer {key_list.keys['anna']}"}
    with connect(keyed_stack.ws_url, additional_headers=headers) as client:
        client.send(json.dumps({"type": "start", "sample_rate": 16000, "encoding": "pcm_s16le"}))
        session_id = json.loads(client.recv(timeout=limit_s(10)))["session_id"]
        page = await open_page(keyed_stack.health_url)
        field = page.get_by_label("Operator's key")
        await expect(field).to_be_visible()
        await check(page, "key")
        await field.fill(key_list.keys["anna"])
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not an operator")
        await field.fill(key_list.keys["operating"])
        await page.keyboard.press("Enter")
        row = page.locator("#sessions tr", has_text=session_id)
        await expect(row).to_contain_text("anna")
        await check(page, "operator")
        await row.get_by_role("button", name="End").click()
        await row.get_by_role("button", name="Confirm end").click()
        event = json.loads(client.recv(timeout=limit_s(10)))
        while event["type"] != "error":
            event = json.loads(client.recv(timeout=limit_s(10)))
        assert event["code"] == "session_expired"
        await expect(row).to_have_count(0)
