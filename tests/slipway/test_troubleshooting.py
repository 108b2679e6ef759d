"""Each message that the page on troubleshooting quotes is one that the code can print."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slipway.source_tree import PACKAGES, sources

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
QUOTED = re.findall(r"^### `(.*)`$", PAGE, re.MULTILINE)


def template(node: ast.expr) -> str:
    """The text of a string expression, with `...` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return "..."


def messages() -> Iterator[str]:
    """Every string of the packages but docstrings, as a template on one line."""
    for source in sources():
        if source.package in PACKAGES:
            for node in ast.walk(source.tree):
                if isinstance(node, ast.JoinedStr | ast.Constant | ast.BinOp):
                    yield template(node).replace("\n", " ")


MESSAGES = frozenset(messages())


def can_be_printed(quoted: str) -> bool:
    pattern = re.compile(re.escape(quoted).replace(r"\.\.\.", ".*"))
    return any(pattern.search(message) for message in MESSAGES)


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_message_is_one_of_the_code(quoted: str) -> None:
    assert can_be_printed(quoted)


def test_a_message_that_no_code_has_is_noticed() -> None:
    assert len(QUOTED) > 30
    assert not can_be_printed("port: expected ... to be occupied")
