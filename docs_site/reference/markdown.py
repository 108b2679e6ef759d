"""Tables and passages of Markdown."""

import inspect
import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by `make docs` from the code; do not edit. -->"
_PAGE = re.compile(r"(?<!\]\()(?<![\w/])docs/([\w-]+)\.md")
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*)$")


def joined(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def page_head(title: str, introduction: str) -> list[str]:
    """The first lines of a page."""
    return [f"# {title}", NOTE, "", joined(introduction), ""]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    r"""The lines of a table.

    >>> table(["code", "meaning"], [["a|b", "one\ntwo"]])
    ['| code | meaning |', '|---|---|', '| a\\|b | one two |', '']
    """
    lines = [_line(header), "|" + "---|" * len(header), *map(_line, rows)]
    return [*lines, ""]


def code(text: object) -> str:
    """A text as code; nothing for an empty one."""
    return f"`{text}`" if str(text) else ""


def fenced(language: str, text: str) -> list[str]:
    """The lines of a block of code."""
    return [f"```{language}", *text.strip("\n").splitlines(), "```", ""]


def prose(docstring: str | None) -> str:
    r"""A docstring as one passage per paragraph, without its sections, its pages as links.

    >>> prose("What it is.\n\n    More\n    (docs/gate.md).\n\n    Raises:\n        X: no.")
    'What it is.\n\nMore ([gate](../gate.md)).'
    """
    text = re.split(r"\n\s*(?:Attributes|Raises):\n", inspect.cleandoc(docstring or ""))[0]
    passages = [" ".join(each.split()) for each in text.split("\n\n")]
    return with_links("\n\n".join(passages).strip())


def with_links(text: str) -> str:
    """A text in which the path of a page is a link to it.

    >>> with_links("see docs/keys.md")
    'see [keys](../keys.md)'
    """
    return _PAGE.sub(lambda match: f"[{match[1]}](../{match[1]}.md)", text)


def attributes(docstring: str | None) -> dict[str, str]:
    r"""What the section `Attributes` of a docstring says, by name.

    >>> attributes("X.\n\nAttributes:\n    name: The name\n        of it.\n\nMore.")
    {'name': 'The name of it.'}
    """
    section = inspect.cleandoc(docstring or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := _ATTRIBUTE.match(line):
            name = match[1]
            found[name] = match[2]
        elif line.startswith(" " * 8) and name:
            found[name] += f" {line.strip()}"
        elif line.strip():
            break
    return {name: with_links(text) for name, text in found.items()}


def _line(cells: Sequence[str]) -> str:
    shown = (" ".join(str(cell).replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(shown)} |"
