"""Which files of the repository the site has, and under which name.

Pages link to each other by their places in the repository, as they are read there: `docs/gate.md`
has `../ARCHITECTURE.md`. The site has all pages below one folder, so links are rewritten.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

DOCS = "docs"
SOURCE = "source"
"""The folder of the site for files that are no pages, such as a configuration that a page names."""
NAMES = {"README.md": "quickstart.md"}
"""Pages outside `docs/` whose name in the site is not their own; `docs/README.md` is the index."""
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|#|//)")
_ITEM = re.compile(r"^(?:[-*]|\d+\.) ")
_FENCE = re.compile(r"^\s*(```|~~~)")
_QUOTED = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")


def pages_outside_docs(root: Path) -> dict[str, str]:
    """Pages that are not in `docs/`: path in the repository, path in the site."""
    found = [*root.glob("*.md"), *root.glob("deploy/*/README.md")]
    paths = sorted(path.relative_to(root).as_posix() for path in found)
    return {path: NAMES.get(path) or _site_name(path) for path in paths}


def _site_name(path: str) -> str:
    """The path of a page in the site.

    >>> _site_name("deploy/podman/README.md"), _site_name("ARCHITECTURE.md")
    ('deploy-podman.md', 'architecture.md')
    """
    return path.removesuffix("/README.md").removesuffix(".md").lower().replace("/", "-") + ".md"


def site_path(path: str, outside: dict[str, str]) -> str:
    """The place in the site of a file of the repository."""
    if path in outside:
        return outside[path]
    return path.removeprefix(f"{DOCS}/") if path.startswith(f"{DOCS}/") else f"{SOURCE}/{path}"


def repository_path(path: str, outside: dict[str, str]) -> str:
    """The place in the repository of a page of the site."""
    return next((there for there, here in outside.items() if here == path), f"{DOCS}/{path}")


def linked_files(markdown: str, page: str) -> Iterator[str]:
    """The paths in the repository that a page links to; `page` is its own."""
    for line in _prose(markdown):
        for match in _LINK.finditer(line):
            if not _ELSEWHERE.match(match["target"]):
                yield _resolved(match["target"].partition("#")[0], page)


def with_site_links(markdown: str, page: str, root: Path, outside: dict[str, str]) -> str:
    """A page whose links lead to where the site has their targets.

    A link to a folder becomes its text: the site has no listings.

    >>> with_site_links("See [the map](../ARCHITECTURE.md#glossary).", "docs/gate.md", Path(),
    ...                 {"ARCHITECTURE.md": "architecture.md"})
    'See [the map](architecture.md#glossary).'
    """
    here = posixpath.dirname(site_path(page, outside))

    def rewritten(match: re.Match[str]) -> str:
        target, hash_sign, anchor = match["target"].partition("#")
        # A link may be an image.
        text = _LINK.sub(rewritten, match["text"])
        if _ELSEWHERE.match(match["target"]):
            return f"{match['image']}[{text}]({match['target']})"
        path = _resolved(target, page)
        if (root / path).is_dir():
            return text
        link = posixpath.relpath(site_path(path, outside), here or ".")
        return f"{match['image']}[{text}]({link}{hash_sign}{anchor})"

    lines = markdown.split("\n")
    for number, is_prose in enumerate(_is_prose(lines)):
        if is_prose:
            lines[number] = _LINK.sub(rewritten, lines[number])
    return "\n".join(lines)


def with_separate_lists(markdown: str) -> str:
    r"""A page with an empty line before each list, where GitHub needs none and MkDocs does.

    >>> with_separate_lists("Read:\n- one\n- two")
    'Read:\n\n- one\n- two'
    """
    lines = markdown.split("\n")
    kept: list[str] = []
    for line, is_prose in zip(lines, _is_prose(lines), strict=True):
        before = kept[-1] if kept else ""
        in_list = not before.strip() or bool(_ITEM.match(before)) or before.startswith(" ")
        if is_prose and _ITEM.match(line) and not in_list:
            kept.append("")
        kept.append(line)
    return "\n".join(kept)


def _prose(markdown: str) -> Iterator[str]:
    lines = markdown.split("\n")
    yield from (
        _QUOTED.sub("", line) for line, kept in zip(lines, _is_prose(lines), strict=True) if kept
    )


def _is_prose(lines: list[str]) -> Iterator[bool]:
    """For each line, whether it is outside fenced code."""
    is_code = False
    for line in lines:
        fence = bool(_FENCE.match(line))
        yield not (fence or is_code)
        is_code ^= fence


def _resolved(target: str, page: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
