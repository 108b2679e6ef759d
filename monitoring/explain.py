"""Find a prediction in the traffic log."""

import msgspec

from contracts.errors import NotRegistered
from contracts.names import Layout
from contracts.traffic import TrafficRecord


def find(layout: Layout, prediction_id: str) -> TrafficRecord:
    """The record of a prediction, whichever model it is of; newest files first.

    Raises:
        NotRegistered: it is in no file of the traffic log.

    """
    needle = prediction_id.encode()
    paths = (layout.var / "traffic").glob("*/*/*.jsonl")
    for path in sorted(paths, key=lambda p: (p.parent.name, p.name), reverse=True):
        with path.open("rb") as lines:
            for line in lines:
                record = _record(line) if needle in line else None
                if record is not None and record.prediction_id == prediction_id:
                    return record
    raise NotRegistered(
        f"prediction: expected an id in {layout.var / 'traffic'}, got {prediction_id!r}",
        remedy="ids are in the answers of the service, as prediction_id",
    )


def _record(line: bytes) -> TrafficRecord | None:
    try:
        return msgspec.json.decode(line, type=TrafficRecord)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
