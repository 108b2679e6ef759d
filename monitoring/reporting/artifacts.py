"""A document as JSON and as an HTML page, side by side."""

from pathlib import Path

from contracts.documents import Document
from contracts.files import write_whole


def write_document(folder: Path, name: str, document: Document, html: str) -> tuple[Path, Path]:
    """Write `<name>.json` and `<name>.html`, each as a whole; gives their paths.

    Writing the same name again replaces them. The page is written first, so whoever finds the
    document finds its page.

    Raises:
        Unwritable: the folder cannot be written.

    """
    stored, page = folder / f"{name}.json", folder / f"{name}.html"
    write_whole(page, html.encode())
    write_whole(stored, document.write_pretty())
    return stored, page
