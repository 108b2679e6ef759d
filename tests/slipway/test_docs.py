"""The commands in the pages exist, with these options; every link and every page is reachable."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slipway.app import app

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "README.md"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").glob("*/README.md")),
]
BLOCK = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)")


def commands_of(page: Path) -> list[str]:
    lines = [line for block in BLOCK.findall(page.read_text()) for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("#")[0].split("&&")]
    return [part for part in parts if part.startswith("slipway ")]


COMMANDS = sorted({command for page in PAGES for command in commands_of(page)})


def is_known(words: list[str]) -> bool:
    """Whether the command line can parse the words; `--help` keeps it from running them."""
    return CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


def test_a_word_that_is_no_command_is_noticed() -> None:
    assert len(COMMANDS) > 15
    assert not is_known(["train", "--no-such-option"])
    assert not is_known(["no-such-command"])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_page_exists(command: str) -> None:
    assert is_known(shlex.split(command.replace("<name>", "loan"))[1:])


def links_of(page: Path) -> list[tuple[Path, str]]:
    """File and anchor of each link of the page to another page or to itself."""
    links = LINK.findall(page.read_text())
    return [((page.parent / file).resolve() if file else page, anchor) for file, anchor in links]


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in links_of(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors_of(target), f"{target}#{anchor}"


def test_every_page_is_linked_from_the_index() -> None:
    linked = {target for target, _ in links_of(INDEX)}

    assert set(PAGES) - {INDEX} <= linked
    assert INDEX in {target for target, _ in links_of(ROOT / "README.md")}
