"""Whether this code runs from a Bento, and where its models are then."""

from pathlib import Path

from contracts.manifest import Pointer
from contracts.names import Layout
from services.inference.model_source import ModelSource
from services.settings import ServiceSettings

_CODE = Path(__file__).resolve().parents[2]
"""The checkout, or the folder `src` of a Bento."""


def is_in_bento() -> bool:
    """Whether this code was packed by `bentoml build`, together with the models it serves."""
    return (_CODE.parent / "bento.yaml").is_file()


def code_folder() -> Path | None:
    """Where our processes start: in a Bento its `src`, as its workers do; None for here."""
    return _CODE if is_in_bento() else None


def is_followed(settings: ServiceSettings) -> bool:
    """Whether workers watch the pointers while they serve."""
    if settings.follow == "auto":
        return settings.pull and not is_in_bento()
    return settings.follow == "on"


def model_source(settings: ServiceSettings) -> ModelSource:
    """The models of this service: below `var`, or in the Bento if it does not follow."""
    is_frozen = is_in_bento() and settings.follow != "on"
    layout = Layout(_CODE / "var") if is_frozen else Layout(settings.var)
    return ModelSource(layout, _stored_directory)


def _stored_directory(pointer: Pointer) -> Path | None:
    """The model directory in an image's Bento, else in BentoML's store.

    BentoML itself finds the first only in the processes that it starts, not in ours. Without a
    call it is not loaded.
    """
    packed = _CODE.parent / "models" / pointer.bento_tag.replace(":", "/")
    if is_in_bento() and pointer.bento_tag and packed.is_dir():
        return packed
    from services.bento.model_store import stored_directory

    return stored_directory(pointer)
