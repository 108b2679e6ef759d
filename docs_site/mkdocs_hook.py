"""The hook of MkDocs: pages outside `docs/`, links between them, patterns in the navigation."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs_site.published_files import (
    linked_files,
    pages_outside_docs,
    repository_path,
    site_path,
    with_separate_lists,
    with_site_links,
)

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_CELL = re.compile(r"<td\b.*?</td>", re.DOTALL)


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Make anchors by GitHub's rule, and expand patterns such as `how-to/*.md` in `nav`."""
    from pymdownx.slugs import slugify

    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    config.nav = expanded(config.nav or [], Path(config.docs_dir))
    return config


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages outside `docs/`, and the files that any page links to."""
    from mkdocs.structure.files import File

    outside = pages_outside_docs(ROOT)
    for path, place in outside.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    wanted = {
        target
        for page in files.documentation_pages()
        for target in linked_files(page.content_string, repository_path(page.src_uri, outside))
    }
    for path in sorted(wanted):
        place = site_path(path, outside)
        if (ROOT / path).is_file() and files.get_file_from_path(place) is None:
            files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """The page with links to where the site has their targets, and lists as GitHub reads them."""
    del config, files
    outside = pages_outside_docs(ROOT)
    path = repository_path(page.file.src_uri, outside)
    return with_separate_lists(with_site_links(markdown, path, ROOT, outside))


def on_page_content(html: str, *, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """The page with the vertical bars of code in tables as GitHub shows them.

    Markdown needs a backslash before them there, which MkDocs shows.
    """
    del page, config, files
    return _CELL.sub(lambda cell: cell[0].replace("\\|", "|"), html)


def expanded(nav: list[Any], docs: Path) -> list[Any]:
    """The navigation with the pages that a pattern finds, and without empty sections.

    A page that is listed by its name is not found by a pattern as well.

    >>> expanded([{"A": ["no-such-*.md"]}, {"B": ["README.md"]}], Path("docs"))
    [{'B': ['README.md']}]
    """
    return list(_expanded(nav, docs, set(_named(nav))))


def _expanded(nav: list[Any], docs: Path, named: set[str]) -> Iterator[Any]:
    for item in nav:
        if isinstance(item, str) and "*" in item:
            found = sorted(path.relative_to(docs).as_posix() for path in docs.glob(item))
            yield from (path for path in found if path not in named)
        elif isinstance(item, dict):
            ((title, inner),) = item.items()
            inner = list(_expanded(inner, docs, named)) if isinstance(inner, list) else inner
            if inner:
                yield {title: inner}
        else:
            yield item


def _named(nav: list[Any]) -> Iterator[str]:
    for item in nav:
        if isinstance(item, dict):
            for inner in item.values():
                yield from _named(inner if isinstance(inner, list) else [inner])
        elif "*" not in item:
            yield item
