"""BentoML's model store: where a Bento finds the models that were packed with it."""

from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException

from contracts.manifest import Pointer


def stored_directory(pointer: Pointer) -> Path | None:
    """The model directory of a pointer in BentoML's store, or in the Bento that runs."""
    try:
        return Path(bentoml.models.get(pointer.bento_tag).path)
    except BentoMLException:
        return None
