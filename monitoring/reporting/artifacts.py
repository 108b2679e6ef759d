"""A document and its page, where people and programs find them."""

from pathlib import Path

from contracts.documents import Document
from contracts.files import write_whole


def keep(folder: Path, name: str, document: Document, page: str) -> tuple[Path, Path]:
    """Write `<name>.json` and `<name>.html`, each whole; the same name again replaces them.

    Raises:
        Unwritable: the folder cannot be written.

    """
    stored, readable = (folder / f"{name}.{end}" for end in ("json", "html"))
    write_whole(readable, page.encode())
    write_whole(stored, document.write_pretty())
    return stored, readable
