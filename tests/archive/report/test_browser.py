"""The report in a real browser: desktop and phone, light and dark, on paper, offline."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.processes import Command
from tests.support.report_exports import write_export
from tests.support.warm_interpreter import WarmInterpreter

Serve = Callable[..., AbstractContextManager[Any]]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER_PATH = next((path for name in NAMES if (path := shutil.which(name))), None)
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}
WIDTHS = (320, 390, 479, 480, 768, 1024, 1280, 1920, 2560)
BROWSER_OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
)

pytestmark = [
    pytest.mark.skipif(BROWSER_PATH is None, reason="no Chromium or Chrome is installed"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    """Start one browser for all tests."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER_PATH, args=list(BROWSER_OPTIONS))
        yield started
        started.close()


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    """Return the browser, and close everything that a test opens in it."""
    yield started
    for context in started.contexts:
        context.close()


@pytest.fixture(scope="module")
def html(serve: Serve, interpreter: WarmInterpreter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the report of an export with retried requests, for all tests."""
    command = Command(tmp_path_factory.mktemp("report"), interpreter)
    with serve("--contacts=3000", "--fault=http_503@3") as served:
        command.run("contacts", "-q", "-o", "a.ndjson", "--per-page=50", served=served)
    command.run("report", "a.ndjson", "-q")
    return command.folder / "a.ndjson.report.html"


def open_page(browser: Browser, html: Path, screen: str, scheme: Any) -> tuple[Page, list[str]]:
    """Open the page; return it and its messages, errors and requests to other addresses."""
    context = browser.new_context(viewport=SCREENS[screen], color_scheme=scheme, offline=True)  # type: ignore[arg-type]
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: None if request.url == html.as_uri() else problems.append(request.url))
    page.goto(html.as_uri())
    return page, problems


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_report_page_on_any_screen_is_accessible(
    browser: Browser, html: Path, screen: str, scheme: str, tmp_path: Path
) -> None:
    """The page has no error, no request, no overflow, enough contrast, and a text for each chart."""
    page, problems = open_page(browser, html, screen, scheme)
    assert problems == []
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


BROKEN_WORDS = """() => {
  const broken = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = new Range();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const {index, 0: word} of node.data.matchAll(/[^\\s-]+-?/g)) {
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (lines.size > 1 && word.length <= 24) broken.push(word);
    }
  }
  return broken;
}"""
OVERFLOWING_ELEMENTS = """() => [...document.querySelectorAll('body, body *:not(svg *)')].filter(
  part => part.checkVisibility() && (part.scrollWidth > part.clientWidth + 1 && part.clientWidth
    || part.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)).map(part => part.outerHTML)"""
CHARTS = """() => [...document.querySelectorAll('figure')].map(figure => {
  const shown = [...figure.querySelectorAll('svg')].filter(svg => svg.checkVisibility());
  const main = document.querySelector('main').getBoundingClientRect();
  const texts = shown.flatMap(svg => [...svg.querySelectorAll('text')]);
  return {shown: shown.length, share: shown[0].getBoundingClientRect().width / main.width,
    least: Math.min(...texts.map(text => text.getBoundingClientRect().height))};
})"""
UNBROKEN = "Donaudampfschifffahrtsgesellschaft" * 3
LONG_NAME = "a_very_long_attribute_name_that_somebody_gave_it.in_a_hurry_2024"


def write_wide_export(path: Path) -> None:
    """Write an export with long names, many years, retries and waits."""
    countries = ["Ireland", "United Kingdom of Great Britain and Northern Ireland", "Bosnia and Herzegovina"]
    contacts: list[dict[str, Any]] = [
        {
            "id": str(number),
            "role": ("user", "lead")[number % 2],
            "created_at": 1_262_304_000 + number * 600_000,
            "location": {"country": countries[number % 3]},
            "opted_out_subscription_types": {"data": []},
            "custom_attributes": {
                LONG_NAME: str(number) if number % 3 else number,
                "Donaudampfschifffahrtsgesellschaft" * 3: 1,
            },
        }
        for number in range(800)
    ]
    write_export(path, [json.dumps(contact) for contact in contacts])
    manifest = path.with_name(f"{path.name}.manifest.json")
    slices = {"slice_s": 10.0, "contacts": [40] * 20, "retries": [0, 1] * 10, "waited_s": [0.0] * 20, "ran_s": 200.0}
    drift = {f"custom_attributes.{LONG_NAME}": {"out_of_range": 1_234}, "opted_out_subscription_types": {"unknown": 5}}
    changes = {"timeline": slices, "schema_drift": drift, "retries": {"http_503": 10}, "interruptions": 3}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


@pytest.mark.slow
@pytest.mark.parametrize("media", ["screen", "print"])
def test_report_page_fits_every_width(browser: Browser, command: Any, media: Any) -> None:
    """Nothing overflows or scrolls sideways, no word is broken, charts fill the width and stay readable."""
    name = "contacts-of-the-whole-european-workspace-2026-11-26T00-00-00.ndjson"
    write_wide_export(command.folder / name)
    assert command.run("report", name, "-q").returncode == 0
    page, problems = open_page(browser, command.folder / f"{name}.report.html", "phone", "light")
    page.emulate_media(media=media)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERFLOWING_ELEMENTS) == [], width
        assert page.evaluate(BROKEN_WORDS) == [], width
        charts = page.evaluate(CHARTS)
        assert [chart["shown"] for chart in charts] == [1] * 4, width
        assert min(chart["share"] for chart in charts) > 0.98, width
        assert min(chart["least"] for chart in charts) >= 9, width
    assert page.evaluate("document.querySelector('main').clientWidth") > 1_400
    assert problems == []


def test_report_page_keeps_digest_and_long_names_complete(browser: Browser, command: Any) -> None:
    """A position where a name may wrap is not part of its text."""
    write_wide_export(command.folder / "a.ndjson")
    command.run("report", "a.ndjson", "-q")
    page, _ = open_page(browser, command.folder / "a.ndjson.report.html", "phone", "light")
    texts = page.locator("td.name").all_text_contents()
    assert LONG_NAME in texts
    digest = json.loads((command.folder / "a.ndjson.manifest.json").read_text())["files"][0]["sha256"]
    assert page.locator("table.files code").all_text_contents() == [digest]
    assert page.locator("p.note").all_text_contents()[0].startswith("▼ marks where")


MONTHS = """() => [...document.querySelectorAll('section')].find(one => one.innerText.includes('month of creation'))
  .querySelectorAll('svg')"""
TICKS = f"[...({MONTHS})()].map(svg => [...svg.querySelectorAll('text')].map(text => text.textContent))"


@pytest.mark.parametrize(
    ("months", "labels"),
    [
        ((0,), ["2010-01"]),
        ((0, 3), ["2010-01", "2010-02", "2010-03", "2010-04"]),
        ((0, 5), [f"2010-{month:02}" for month in range(1, 7)]),
    ],
    ids=["one", "four", "six"],
)
def test_report_page_with_few_months_draws_no_axis(
    browser: Browser, command: Any, months: tuple[int, ...], labels: list[str]
) -> None:
    """Each chart labels every month of the range, and shows the counts beside the bars."""
    at = [1_262_304_000 + month * 31 * 86_400 for month in months]
    write_export(command.folder / "a.ndjson", [json.dumps({"id": str(when), "created_at": when}) for when in at])
    command.run("report", "a.ndjson", "-q")
    page, _ = open_page(browser, command.folder / "a.ndjson.report.html", "desktop", "light")
    drawings = page.evaluate(TICKS)
    assert len(drawings) == 4
    for texts in drawings:
        assert [text for text in texts if "-" in text] == labels
        assert [text for text in texts if "-" not in text].count("1") == len(months)


def test_report_page_month_axis_stays_within_range(browser: Browser, command: Any) -> None:
    """Ticks are whole months of the range, without duplicates; with many years they are Januaries."""
    for years in (1, 30):
        at = [1_262_304_000 + month * 2_629_800 for month in range(years * 12)]
        write_export(command.folder / "a.ndjson", [json.dumps({"id": str(when), "created_at": when}) for when in at])
        command.run("report", "a.ndjson", "-q", "--replace")
        page, _ = open_page(browser, command.folder / "a.ndjson.report.html", "desktop", "light")
        for texts in page.evaluate(TICKS):
            ticks = [text for text in texts if "-" in text]
            assert 2 <= len(ticks) == len(set(ticks)) <= 16
            assert all("2010-01" <= tick <= f"{2009 + years}-12" for tick in ticks)
            assert years == 1 or all(tick.endswith("-01") for tick in ticks)


def test_report_page_colours_follow_the_scheme(browser: Browser, html: Path) -> None:
    """This holds for the page and for the text of its charts."""
    colours = []
    for scheme in ("light", "dark"):
        page, _ = open_page(browser, html, "desktop", scheme)
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


def test_report_page_prints_on_few_white_pages(browser: Browser, html: Path, tmp_path: Path) -> None:
    """This holds for a dark colour scheme, too."""
    page, problems = open_page(browser, html, "desktop", "dark")
    content = page.pdf(path=tmp_path / "a.pdf", format="A4")
    assert content.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 8
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert problems == []
