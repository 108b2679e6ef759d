"""What a template makes of values: escaped text in a frame that needs nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError
from markupsafe import Markup

from pages.render import render

ROOT = Path(__file__).parents[2]
PAGE = "tests/pages/page.html.j2"
ATTACK = "<script>alert(1)</script>\"'&"
TEMPLATES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("pages", "training", "monitoring", "slipway")
    for path in (ROOT / package).rglob("*.j2")
)


class Reader(HTMLParser):
    """The tags and texts that a browser would take from a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(**values: object) -> str:
    return render(
        PAGE, **({"title": "a page", "counts": {"north": 1200, "west": 1}, "chart": ""} | values)
    )


def test_text_is_escaped_wherever_it_stands() -> None:
    found = Reader(page(title=ATTACK, counts={ATTACK: 2}, chart=ATTACK))

    assert found.open == []
    assert "script" not in found.tags
    assert found.text.count(ATTACK) == 5  # title, tag, head, cell, chart


def test_markup_is_taken_as_it_is() -> None:
    assert "<svg>" in page(chart=Markup("<svg></svg>"))


def test_a_name_that_was_not_passed_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'counts' is undefined"):
        render(PAGE, title="a page", chart="")


@pytest.mark.parametrize("path", ["monitoring/none.html.j2", "nowhere/page.html.j2"])
def test_a_template_that_is_not_there_is_an_error(path: str) -> None:
    with pytest.raises(TemplateNotFound):
        render(path)


def test_a_page_needs_no_network_and_no_script_and_fits_any_screen() -> None:
    found = page()

    assert "default-src 'none'" in found
    assert not re.search(r"https?:|url\(|@import|<script|<link", found)
    assert 'name="viewport"' in found
    assert "prefers-color-scheme: dark" in found
    assert len(found) < 6_000


def test_numbers_stand_to_the_right_and_rows_that_count_are_bold() -> None:
    found = page()

    assert '<th class="n">rows</th>' in found
    assert '<tr class="hit"><td>north</td><td class="n">1,200</td></tr>' in found
    assert '<tr><td>west</td><td class="n">1</td></tr>' in found


@pytest.mark.parametrize("path", TEMPLATES)
def test_every_template_is_packed(path: str) -> None:
    """pyproject.toml packs files with this ending and no other."""
    assert path.endswith(".html.j2")
