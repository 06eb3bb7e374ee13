"""The page of a service that asks for a key."""

import re

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_resuming import recording
from tests.keys import KeyList
from tests.stack import Stack
from tests.wire import wire_to


async def test_page_asks_for_the_key_and_keeps_it_while_the_tab_lives(
    keyed_stack: Stack, key_list: KeyList, open_page: OpenPage
) -> None:
    page = await open_page(keyed_stack.web_url)
    link, field = page.locator("#link-state"), page.get_by_label("API key")
    await expect(link).to_have_text("A key is required")
    await expect(field).to_be_focused()
    await field.fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("The key is wrong or has expired.")
    await field.fill(key_list.keys["anna"])
    await page.get_by_role("button", name="Use key").click()
    await expect(link).to_have_text("Connected")
    await expect(field).to_be_hidden()
    await expect(page.get_by_role("alert")).to_be_hidden()
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_role("list", name="Text that may still change")).to_contain_text("seconds")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log").get_by_role("listitem")).to_contain_text(re.compile("seconds"))
    await page.reload()
    await expect(link).to_have_text("Connected")
    kept = "JSON.stringify({...localStorage}) + document.cookie"
    assert key_list.keys["anna"] not in await page.evaluate(kept)


async def test_page_remembers_the_key_if_asked(keyed_stack: Stack, key_list: KeyList, open_page: OpenPage) -> None:
    page = await open_page(keyed_stack.web_url)
    await page.get_by_label("API key").fill(key_list.keys["anna"])
    await page.get_by_label("Remember it in this browser").check()
    await page.get_by_role("button", name="Use key").click()
    await expect(page.locator("#link-state")).to_have_text("Connected")
    again = await page.context.new_page()
    await again.goto(keyed_stack.web_url)
    await expect(again.locator("#link-state")).to_have_text("Connected")


async def test_recording_can_be_stopped_while_the_page_asks_for_a_key(
    keyed_stack: Stack, key_list: KeyList, open_page: OpenPage
) -> None:
    async with wire_to(keyed_stack.settings.server.http_port) as wire:
        page = await open_page(f"http://127.0.0.1:{wire.port}")
        await page.get_by_label("API key").fill(key_list.keys["anna"])
        await page.keyboard.press("Enter")
        await recording(page)
        await page.evaluate("sessionStorage.setItem('voxtral-key', 'wrong')")
        wire.cut()
        await expect(page.locator("#link-state")).to_have_text("A key is required")
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("button", name="Transcribe later")).to_be_enabled()
        await page.get_by_label("API key").fill(key_list.keys["anna"])
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("log")).to_contain_text("seconds")
        await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
