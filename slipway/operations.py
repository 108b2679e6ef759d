"""The operations page of this installation, as it is now."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import PlatformError
from slipway import context
from slipway.options import LOCAL_SERVICE

if TYPE_CHECKING:
    from registry.store import Store


def current_page(url: str = LOCAL_SERVICE, key: str = "") -> str:
    """The page as HTML. What is away, such as the registry, is named on it.

    Args:
        url: the service whose counts of requests and errors are shown.
        key: its key with the scope `admin`, if it requires one.

    Raises:
        Unwritable: `var/reports` cannot be written, to which decisions are copied.

    """
    from monitoring.operations.model_operations import operations_of, registry_view
    from monitoring.operations.page import operations_html
    from monitoring.operations.service_counts import service_counts

    now, layout = datetime.now(UTC), context.layout()
    settings = context.registry_settings()
    operations = operations_of(
        layout,
        registry_view(_store_or_error(), now),
        service_counts(url, key, now),
        hold_s=settings.canary_hold_s,
        now=now,
    )
    return operations_html(layout, operations)


def write_current_page(url: str = LOCAL_SERVICE, key: str = "") -> Path:
    """Write the page to `var/reports/index.html`; gives its path.

    Raises:
        Unwritable: the folder of reports cannot be written.

    """
    from contracts.files import write_whole
    from monitoring.reporting.verdict_index import INDEX_FILE

    path = context.layout().reports / INDEX_FILE
    write_whole(path, current_page(url, key).encode())
    return path


def _store_or_error() -> "Store | PlatformError":
    try:
        return context.store()
    except PlatformError as err:
        return err
