"""The operations page in a real chromium: requests, hostile text, phones, ages, layout."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from monitoring.operations.page import operations_html
from tests.browser import needs_chromium
from tests.chromium import Chromium, running_chromium
from tests.monitoring.operations.conftest import BusyPlace
from tests.monitoring.operations.scenario import HOSTILE
from tests.monitoring.operations.test_page import state

pytestmark = [pytest.mark.slow, needs_chromium]
GOLDEN = Path(__file__).with_name("layout.json")
"""Boxes of the page at two widths; with WRITE_LAYOUT set, the test stores those of now."""
MAX_SHIFT = 0.04
"""How far an edge may be from its place, as a share of the screen's width: fonts differ."""
MAX_GROWTH = 1.5
"""How many times as high as before a box may be, or the other way round."""
BOXES = """
[...document.querySelectorAll("header, .sources, .overview, .alerts, .grid, .block, .block svg")]
  .map(e => {
    const box = e.getBoundingClientRect(), section = e.closest("section");
    return {
      name: [section ? section.id : "", e.getAttribute("class") || e.tagName,
             e.tagName === "svg" ? e.closest(".block").className : ""].join(" ").trim(),
      left: +(box.left / innerWidth).toFixed(3), width: +(box.width / innerWidth).toFixed(3),
      height: Math.round(box.height),
    };
  })
"""
SPILLS = """
[...document.querySelectorAll("body *")].filter(e => !e.closest("svg") && !e.closest("script"))
  .filter(e => { const b = e.getBoundingClientRect();
                 return b.width && (b.right > innerWidth + 1 || b.left < -1); })
  .map(e => e.tagName + "." + e.className)
"""


@pytest.fixture(scope="module")
def written(busy: BusyPlace, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(operations_html(busy.workplace.layout, state(busy)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def tab() -> Iterator[Chromium]:
    with running_chromium() as found:
        yield found


def boxes(tab: Chromium) -> list[dict[str, Any]]:
    return list(tab.evaluate(BOXES))


def differences(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    """What is elsewhere, of another size, missing or new, in words."""
    old, new = ([box["name"] for box in side] for side in (before, now))
    if old != new:
        return [f"expected the boxes {old}, got {new}"]
    found = []
    for was, box in zip(before, now, strict=True):
        found += [
            f"{box['name']}: {edge} {was[edge]:.2f} of the screen, now {box[edge]:.2f}"
            for edge in ("left", "width")
            if abs(was[edge] - box[edge]) > MAX_SHIFT
        ]
        if not 1 / MAX_GROWTH <= (box["height"] + 12) / (was["height"] + 12) <= MAX_GROWTH:
            found.append(f"{box['name']}: {was['height']:.0f} px high, now {box['height']:.0f}")
    return found


def test_nothing_is_requested_and_hostile_text_is_text(tab: Chromium, written: str) -> None:
    tab.open(written)

    assert tab.requests == [written]
    assert tab.evaluate("document.documentElement.dataset.attacked") is None
    assert HOSTILE in tab.evaluate("document.getElementById('loan').innerText")


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_nothing_spills_over_the_edge_of_the_screen(
    tab: Chromium, written: str, width: int
) -> None:
    tab.open(written, width)

    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate(SPILLS) == []


def test_a_page_that_is_opened_later_says_that_it_is_old(tab: Chromium, written: str) -> None:
    tab.open(written)
    banner = "getComputedStyle(document.querySelector('.banner')).display"
    assert tab.evaluate(banner) == "none"
    assert tab.evaluate("document.querySelectorAll('.stale').length") == 0

    tab.open(written, later_s=int(timedelta(hours=7).total_seconds()))

    assert tab.evaluate(banner) == "block"
    assert tab.evaluate("document.querySelector('.page-age').innerText") == "7 h ago, stale"
    verdicts = "document.querySelector('#loan .verdicts .age').innerText"
    assert tab.evaluate(verdicts) == "7 h ago, stale"


@pytest.mark.parametrize("width", [390, 1280])
def test_every_box_is_where_it_was(tab: Chromium, written: str, width: int) -> None:
    """If the page was changed on purpose, run this with WRITE_LAYOUT=1."""
    tab.open(written, width)
    now = boxes(tab)
    stored = json.loads(GOLDEN.read_text())
    if os.environ.get("WRITE_LAYOUT"):
        stored[str(width)] = now
        GOLDEN.write_text(json.dumps(stored, indent=1) + "\n")

    assert differences(stored[str(width)], now) == []


@pytest.mark.parametrize(
    "damage",
    [
        "document.querySelector('style').remove()",
        "document.querySelector('meta[name=viewport]').content = 'width=980'",
        "document.head.insertAdjacentHTML('beforeend', '<style>.grid{display:block}</style>')",
        "document.head.insertAdjacentHTML('beforeend', '<style>.spark{width:5rem}</style>')",
        "document.querySelector('#loan .performance').remove()",
        "document.querySelector('#loan .verdicts').append('word '.repeat(300))",
    ],
    ids=["no style", "no viewport", "one column", "narrow charts", "lost block", "flood of text"],
)
def test_a_broken_layout_is_found(tab: Chromium, written: str, damage: str) -> None:
    width = 390 if "viewport" in damage else 1280
    stored = json.loads(GOLDEN.read_text())[str(width)]
    tab.open(written, width)
    tab.evaluate(damage)
    tab.evaluate("document.body.offsetHeight")

    assert differences(stored, boxes(tab)) != []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_light_and_dark_screens_show_charts_and_text(
    tab: Chromium, written: str, tmp_path: Path, is_dark: bool
) -> None:
    """Paper as bright as the scheme says; in each chart some of it is covered, but not most."""
    tab.open(written, is_dark=is_dark)
    image = Image.open(tab.screenshot(tmp_path / "page.png")).convert("L")
    corner = image.crop((0, 0, 8, 8)).histogram()
    paper = corner.index(max(corner))
    charts = tab.evaluate("""
        [...document.querySelectorAll(".block svg")].map(e => {
          const box = e.getBoundingClientRect();
          return [box.left, box.top + scrollY, box.right, box.bottom + scrollY];
        })""")

    assert (paper < 60) if is_dark else (paper > 230)
    assert len(charts) >= 8
    for left, top, right, bottom in charts:
        part = image.crop((left, top, right, bottom))
        covered = sum(n for grey, n in enumerate(part.histogram()) if abs(grey - paper) > 25)
        assert 0.005 < covered / (part.width * part.height) < 0.9
