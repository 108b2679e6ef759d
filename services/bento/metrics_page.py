"""The page `/metrics`: without series that have ended, and with what the store of jobs counts.

Ended are those of dead workers, and of versions that are not served now.

Where several processes share their metrics, prometheus_client cannot remove a series; a process
can only set its own to 0. So the page leaves out the series of which 0 means that there is nothing.
"""

import logging
import os
import re
from pathlib import Path
from typing import Protocol

from services.bento.metrics_folder import VARIABLE, remove_gauges_of_dead_workers

logger = logging.getLogger("bentoml.slipway")

ENDED = re.compile(
    rb"^slipway_(?:model_info|model_load_failed|refused_versions)\{[^\n]*\} 0\.0\n", re.MULTILINE
)


class MorePage(Protocol):
    """Makes more of the page."""

    def __call__(self) -> bytes:
        """Metrics in Prometheus's text format; must not block."""


def prepare_metrics_page(more: MorePage) -> None:
    """Leave ended series, and the gauges of dead workers, out of this worker's page; add `more`.

    BentoML's metrics client, which makes the page, is private: if it has moved, ended series stay
    on the page with the value 0, jobs are missing from it, and one warning is logged.
    """
    try:
        from bentoml._internal.configuration.containers import BentoMLContainer

        client = BentoMLContainer.metrics_client.get()
        generate = client.generate_latest
    except (ImportError, AttributeError) as err:
        logger.warning("BentoML's metrics have moved (%s): ended series stay in /metrics", err)
        return

    def page() -> bytes:
        if folder := os.environ.get(VARIABLE):
            remove_gauges_of_dead_workers(Path(folder))
        return without_ended_series(generate()) + more()

    client.generate_latest = page


def without_ended_series(page: bytes) -> bytes:
    """A page of metrics without the series that have ended."""
    return ENDED.sub(b"", page)
