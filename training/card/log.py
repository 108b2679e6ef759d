"""Logs a model card where people look for it: among the artifacts of the version's run."""

from collections.abc import Mapping

from contracts.card import ModelCard
from contracts.names import CARD_FOLDER
from registry.store import Store
from training.card.page import card_html


def card_files(card: ModelCard) -> dict[str, bytes]:
    """The card as a document and as a page, by file name."""
    return {"card.json": card.write_pretty(), "card.html": card_html(card).encode()}


def log_card(store: Store, run_id: str, files: Mapping[str, bytes]) -> None:
    """Log the files of a card to its run, in place of an earlier one.

    Raises:
        RegistryUnreachable: the tracking server or its artifact store did not take it.
        Unwritable: the folder for temporary files is full.

    """
    store.artifacts.upload(run_id, CARD_FOLDER, files)
