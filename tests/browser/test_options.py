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


async def test_too_many_key_terms_are_reported_and_nothing_is_begun(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await expect(page.locator("#link-state")).to_have_text("Connected")
    await page.get_by_role("button", name="Options").click()
    terms = page.get_by_role("textbox", name="Key terms")
    start, notice = page.get_by_role("button", name="Start recording"), page.get_by_role("alert")
    await terms.fill(",".join(f"term{number}" for number in range(201)))
    await start.click()
    await expect(notice).to_have_text("There are 201 key terms in the options; the limit is 200.")
    await terms.fill("a" * 101)
    await start.click()
    await expect(notice).to_have_text(f"The key term “{'a' * 30}…” has 101 characters; the limit is 100.")
    await expect(start).to_be_visible()
    await expect(page.locator("#documents button")).to_have_count(0)
