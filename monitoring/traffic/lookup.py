"""A prediction is looked up in the traffic log by its id."""

from datetime import UTC, datetime

from contracts.errors import NotRegistered
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from monitoring.traffic.compaction_manifest import reading_lock
from monitoring.traffic.parquet import record_of
from monitoring.traffic.projections import WholeRecords
from monitoring.traffic.reader import read_day
from monitoring.traffic.window import ReadStats, TimeWindow

_BEGINNING, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def find_prediction(layout: Layout, prediction_id: str) -> TrafficRecord:
    """The record of a prediction of any model; the newest days are searched first.

    A file that cannot be read does not hide a prediction in another one.

    Raises:
        NotRegistered: it is in no file of the traffic log.
        InvalidDocument: a `compacted.json` was cut or edited.

    """
    days = (path for path in layout.all_traffic.glob("*/*") if path.is_dir())
    for day in sorted(days, key=lambda path: path.name, reverse=True):
        window = TimeWindow(day.parent.name, None, _BEGINNING, _END)
        with reading_lock(day.parent):
            tables = read_day(day, window, WholeRecords(), ReadStats(), prediction_id)
            table = next(tables, None)
        if table is not None:
            return record_of(table.row(0, named=True))
    raise NotRegistered(
        f"prediction: expected an id in {layout.all_traffic}, got {prediction_id!r}",
        remedy="the service returns ids as prediction_id",
    )
