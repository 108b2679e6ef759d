"""The page of a model card (`pages/`): one file that needs no network and no script."""

from contracts.card import MIN_COUNT, ModelCard, SegmentFigures
from pages.render import render

CARD_TEMPLATE = "training/card/page.html.j2"
NOTES = {
    "intended_use": "Intended use",
    "not_for": "Not for",
    "limitations": "Limitations",
    "owner": "Owner",
}
"""What only a person can fill in, by the field of `CardNotes`."""


def card_html(card: ModelCard) -> str:
    """A card as one HTML page."""
    return render(
        CARD_TEMPLATE,
        card=card,
        notes=[(title, getattr(card.notes, field)) for field, title in NOTES.items()],
        segments=[each for each in card.segments if len(each.segment) == 1],
        crossings=[each for each in card.segments if len(each.segment) > 1],
        figure_names=_figure_names(card.segments),
        min_count=MIN_COUNT,
        is_share=card.task != "regression",
    )


def _figure_names(segments: tuple[SegmentFigures, ...]) -> list[str]:
    return list(segments[0].figures) if segments else []
