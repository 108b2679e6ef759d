"""The door to BentoML's model store: where a pulled model lies."""

from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException

from contracts.manifest import Pointer


def stored_path(pointer: Pointer) -> Path | None:
    """Where the pointer's model lies in BentoML's store, or in the Bento that runs."""
    try:
        return Path(bentoml.models.get(pointer.bento_tag).path)
    except BentoMLException:
        return None
