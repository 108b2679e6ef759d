"""The result of pulling the production versions."""

from contracts.documents import Document
from contracts.manifest import Pointer


class PullResult(Document, frozen=True, kw_only=True):
    """The last line of `python -m registry pull --json`.

    `pulled` are the versions that are served from now on. `refused` has one sentence for each
    version that is not, with the reason. `removed` are the names of models without a production
    version.
    """

    pulled: tuple[Pointer, ...]
    refused: tuple[str, ...]
    removed: tuple[str, ...]
