"""The options of the page."""

from typing import Any

from playwright.async_api import Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.stack import Stack


async def serve(page: Page, **served: Any) -> None:
    """Changes what the server says about itself."""

    async def answer(route: Route) -> None:
        config = await (await route.fetch()).json()
        await route.fulfill(json=config | served)

    await page.unroute_all()
    await page.route("**/config.json", answer)


async def test_chosen_language_is_kept_while_no_model_runs(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page("about:blank")
    await serve(page, model="polyglot", languages=["de", "en"])
    await page.goto(stack.web_url)
    await page.get_by_role("button", name="Options").click()
    language = page.get_by_role("combobox", name="Language")
    await language.select_option("German")
    await serve(page, model=None, languages=[])
    await page.reload()
    await expect(page.get_by_text("No model is ready yet")).to_be_visible()
    await page.get_by_role("button", name="Options").click()
    await page.get_by_role("checkbox", name="Speakers").check()
    await serve(page, model="polyglot", languages=["de", "en"])
    await expect(page.get_by_text("polyglot on")).to_be_visible()
    await expect(language.locator("option:checked")).to_have_text("German")
