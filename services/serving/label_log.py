"""Labels of one model: accepted from requests, written to `var/labels`."""

import logging
from datetime import UTC, datetime

from contracts.manifest import Manifest
from contracts.names import Layout
from services.faults import Fault
from services.inference.json_templates import encode
from services.inference.jsonl_log import JsonlLog
from services.metrics import Metrics
from services.protocols.labels import LabelsAccepted, labels_of
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")


class LabelLog:
    """The label files that this worker writes for one model, whichever version predicted."""

    def __init__(
        self, name: str, layout: Layout, settings: ServiceSettings, metrics: Metrics
    ) -> None:
        self._name = name
        self._request_rows = settings.request_rows
        self._log = JsonlLog(layout.labels(name), settings.log_file_bytes, by_day=False)
        self._accepted = metrics.labels.labels(name)

    def accept(self, body: bytes, manifest: Manifest) -> bytes:
        """Write the labels of a body, all of them or none; the encoded response.

        Raises:
            Fault: `invalid_json`, `invalid_request`, `body_too_large` or `label_log_unavailable`.

        """
        now = datetime.now(UTC)
        labels = labels_of(body, manifest, self._request_rows, now)
        try:
            self._log.append([encode(label) for label in labels], now)
        except OSError as err:
            logger.error("labels of %s: %s", self._name, err)  # noqa: TRY400 - the error names the file
            raise Fault("label_log_unavailable") from err
        self._accepted.inc(len(labels))
        return encode(LabelsAccepted(len(labels)))

    def close(self) -> None:
        """Close the current file."""
        self._log.close()
