"""The models that `bentoml build` packs: those that were pulled."""

from typing import Any

from bentoml.exceptions import NotFound
from bentoml.models import BentoModel

NOTHING = "nothing:pulled"
"""The model of a service without models: importing the service works, packing it fails."""


class PulledModel(BentoModel):
    """A model of BentoML's store, which only packing needs: serving reads `var/models`.

    BentoML resolves a service's models before its deployment hook, that is, before the pull.
    """

    def resolve(self, base_path: Any = None, **injected: Any) -> Any:
        """The stored model; None if it is not stored, which is enough for serving."""
        if base_path is None and self.stored is None:
            return None
        return super().resolve(base_path, **injected)

    def to_info(self, alias: str | None = None) -> Any:
        """What a Bento records about the model.

        Raises:
            NotFound: it is not in BentoML's store.

        """
        if self.stored is None:
            raise NotFound(
                f"{self.tag}: expected a pulled model in BentoML's store, got nothing\n"
                "help: slipway promote MODEL, slipway pull, then bentoml build"
            )
        return super().to_info(alias)
