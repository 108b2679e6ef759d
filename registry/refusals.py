"""Versions that were refused: reported to the service in a file, to people in an MLflow tag."""

from datetime import UTC, datetime

from contracts.errors import PlatformError
from contracts.files import write_whole
from contracts.manifest import Refusal
from contracts.names import Layout
from contracts.times import utc_text
from registry.store import Store

TAG_REFUSED = "slipway.refused"
"""On a model version: why it is not served."""
MAX_REASON_CHARS = 4000
"""At most this much of a reason is kept; MLflow accepts 5000 characters in a tag."""


def record_refusal(
    store: Store, layout: Layout, name: str, version: int, err: PlatformError
) -> None:
    """Report a refused version and the reason, first to the service, then in the registry.

    Raises:
        RegistryUnreachable: the tracking server does not answer; the service has the report.
        Unwritable: a disk of this machine is full, or a folder belongs to another user.

    """
    refusal = Refusal(
        name=name,
        version=version,
        reason=err.what[:MAX_REASON_CHARS],
        refused_at=utc_text(datetime.now(UTC), "seconds"),
    )
    write_whole(layout.refusal(name), refusal.write_pretty())
    store.versions.set_tag(name, version, TAG_REFUSED, refusal.reason)
