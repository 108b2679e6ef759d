"""Takes the prose out of a file: what people read, without code, markup and quoted commands."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["comment", "docstring", "message", "page"]

PAGES = {".md": "markdown", ".html": "html", ".j2": "html"}
IMAGES = {".png"}
COMMENTED = {".toml", ".yml", ".yaml", ".sh", ".cfg", ".conf"}

_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)`*[ \t]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK_TARGET = re.compile(r"\]\([^)]*\)")
_RELEASED = re.compile(r"^## \[\d.*\Z", re.DOTALL | re.MULTILINE)
_EMBEDDED = re.compile(r"<(style|script)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_MARKUP = re.compile(r"<[^>]*>|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of prose. `text` keeps the line breaks of the file, from `first_line` on."""

    kind: Kind
    text: str
    first_line: int


def passages(path: Path) -> Iterator[Passage]:
    """The prose of one file, by its suffix; nothing for a file that holds none."""
    if path.suffix in IMAGES:
        return
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _comments(text)
        yield from _strings(text)
    elif path.suffix in PAGES:
        blank = _without_code if PAGES[path.suffix] == "markdown" else _without_markup
        yield Passage("page", blank(text), 1)
    elif path.suffix in COMMENTED or path.name == "Makefile":
        yield Passage("page", text, 1)


def _blank(match: re.Match[str]) -> str:
    """As many line breaks as the match has, so that line numbers stay right."""
    return " _ " + "\n" * match[0].count("\n")


def _without_code(markdown: str) -> str:
    for pattern in (_RELEASED, _FENCE, _CODE, _LINK_TARGET):
        markdown = pattern.sub(_blank, markdown)
    return markdown


def _without_markup(html: str) -> str:
    return _MARKUP.sub(_blank, _EMBEDDED.sub(_blank, html))


def _comments(source: str) -> Iterator[Passage]:
    """Comments, those of neighbouring lines as one passage."""
    block: list[str] = []
    start = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != start + len(block):
            yield Passage("comment", "\n".join(block), start)
            block = []
        if not block:
            start = token.start[0]
        block.append(token.string.lstrip("#! "))
    if block:
        yield Passage("comment", "\n".join(block), start)


def _strings(source: str) -> Iterator[Passage]:
    """Docstrings, test names as sentences, and each string literal that has more than a word."""
    tree = ast.parse(source)
    docstrings = _docstrings(tree)
    in_fstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            in_fstrings.update(id(part) for part in node.values)
            text = "".join(_literal(part) for part in node.values)
            yield _placed(source, "message", text, node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in in_fstrings:
                kind: Kind = "docstring" if id(node) in docstrings else "message"
                yield _placed(source, kind, node.value, node)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Passage("message", node.name.replace("_", " "), node.lineno)


def _literal(part: ast.expr) -> str:
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "_"


def _docstrings(tree: ast.Module) -> set[int]:
    """The ids of the nodes that are docstrings, those below an attribute included."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def _placed(source: str, kind: Kind, text: str, node: ast.expr) -> Passage:
    """A string with the line breaks of the source rather than its own, as far as they differ.

    A literal in parentheses spans lines without a line break in its value: its pieces are put
    back where the source has them, each identified by its beginning.
    """
    last_line = node.end_lineno or node.lineno
    if " " not in text.strip():
        return Passage(kind, "", node.lineno)
    if text.count("\n") >= last_line - node.lineno:
        return Passage(kind, text, node.lineno)
    lines = source.splitlines()[node.lineno - 1 : last_line]
    placed, rest = [], text
    for line in lines[1:]:
        piece = re.sub(r"""^\s*[rfbRFB]*["']""", "", line)[:12]
        before, found, after = rest.partition(piece) if piece else (rest, "", "")
        placed.append(before if found else "")
        rest = found + after if found else rest
    return Passage(kind, "\n".join([*placed, rest]), node.lineno)
