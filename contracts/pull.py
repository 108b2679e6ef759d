"""What a pull of the Production versions came to."""

from contracts.documents import Document
from contracts.manifest import Pointer


class PullResult(Document, frozen=True, kw_only=True):
    """The last line of `python -m registry pull --json`.

    `pulled` are the versions that are served from now on; `refused` holds a sentence for each
    version that is not, and why; `removed` are the names of models that have no production
    version any more.
    """

    pulled: tuple[Pointer, ...]
    refused: tuple[str, ...]
    removed: tuple[str, ...]
