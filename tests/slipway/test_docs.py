"""What the pages tell people to type exists, with these options; links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slipway.__main__ import app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "ARCHITECTURE.md"]
BLOCK = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target
