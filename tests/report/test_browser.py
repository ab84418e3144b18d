"""The page in a real browser: on a screen and on a phone, in light and dark, on paper, offline."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, sync_playwright

Serve = Callable[..., AbstractContextManager[Any]]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FOUND = next((path for name in NAMES if (path := shutil.which(name))), None)
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
)

pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="no Chromium or Chrome is installed"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=FOUND, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def html(serve: Serve, command: Any) -> Path:
    """Make the report of an export that had to repeat requests."""
    with serve("--contacts=3000", "--fault=http_503@3") as served:
        command.run("contacts", "-q", "-o", "a.ndjson", "--per-page=50", served=served)
    command.run("report", "a.ndjson", "-q")
    path: Path = command.folder / "a.ndjson.report.html"
    return path


def opened(browser: Browser, html: Path, screen: str, scheme: Any) -> tuple[Page, list[str]]:
    """Open the page; give it and what it complained of, or asked for beyond itself."""
    context = browser.new_context(viewport=SCREENS[screen], color_scheme=scheme, offline=True)  # type: ignore[arg-type]
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: None if request.url == html.as_uri() else trouble.append(request.url))
    page.goto(html.as_uri())
    return page, trouble


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_it_can_be_read(browser: Browser, html: Path, screen: str, scheme: str, tmp_path: Path) -> None:
    """No complaint, nothing asked for, nothing beside the screen, enough contrast, a text for each chart."""
    page, trouble = opened(browser, html, screen, scheme)
    assert trouble == []
    assert page.title() == "a.ndjson: a report"
    width = SCREENS[screen]["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    shown = page.locator("figure svg:visible")
    assert shown.count() == 4
    for number in range(4):
        chart = shown.nth(number)
        assert chart.get_attribute("role") == "img"
        assert len(chart.get_attribute("aria-label") or "") > 20
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] <= width
        assert box["x"] >= 0
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure svg')].filter(s => s.checkVisibility())"
        ".flatMap(s => [...s.querySelectorAll('text')]).map(t => t.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 9, "text that is too small to be read"
    picture = page.screenshot(full_page=True, path=tmp_path / f"{screen}-{scheme}.png")
    assert len(picture) > 20_000


def test_colours_follow_the_scheme(browser: Browser, html: Path) -> None:
    """Of the page and of the text in its charts."""
    colours = []
    for scheme in ("light", "dark"):
        page, _ = opened(browser, html, "desktop", scheme)
        colours.append(
            page.evaluate(
                "[getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.querySelector('figure svg text')).fill]"
            )
        )
    light, dark = colours
    assert light[0] == "rgb(255, 255, 255)"
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_it_can_be_printed(browser: Browser, html: Path, tmp_path: Path) -> None:
    """As some pages on white paper, also for those who read in the dark."""
    page, trouble = opened(browser, html, "desktop", "dark")
    content = page.pdf(path=tmp_path / "a.pdf", format="A4")
    assert content.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 8
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert trouble == []
