"""What `docs/reference` holds: each file and what makes its text."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from docs_site.reference.command_page import command_page
from docs_site.reference.document_page import SCHEMAS, document_page, document_schemas
from docs_site.reference.error_page import error_page
from docs_site.reference.grpc_page import grpc_page
from docs_site.reference.http_page import http_page
from docs_site.reference.metric_page import metric_page
from docs_site.reference.recipe_page import recipe_page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": command_page,
    "documents.md": document_page,
    "errors.md": error_page,
    "grpc-api.md": grpc_page,
    "http-api.md": http_page,
    "metrics.md": metric_page,
    "recipe.md": recipe_page,
}


def write_pages(folder: Path = FOLDER) -> None:
    """Write every file, and remove the schemas of documents that no longer exist."""
    shutil.rmtree(folder / SCHEMAS, ignore_errors=True)
    (folder / SCHEMAS).mkdir(parents=True)
    texts = {name: make() for name, make in PAGES.items()} | document_schemas()
    for name, text in texts.items():
        (folder / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
