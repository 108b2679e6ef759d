"""The values by which a segment feature divides rows."""

from contracts.manifest import Manifest

MISSING, UNSEEN = "(missing)", "(unseen)"


def segment_values(manifest: Manifest, feature: str) -> tuple[str, ...]:
    """The values of a segment feature; the last two are for missing and for unseen ones."""
    found = next(f for f in manifest.schema.features if f.name == feature)
    known = found.categories if found.is_category else ("true", "false")
    return (*known, MISSING, UNSEEN)
