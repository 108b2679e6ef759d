"""An hour of logged traffic to replay."""

import shutil
from collections.abc import Iterator

import pytest

from contracts.traffic import TrafficRecord
from tests.conftest import Workplace
from tests.monitoring.replay.scenario import N, tiny_records, write_log


@pytest.fixture
def traffic(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TrafficRecord]]:
    """An hour of requests that version 1 answered, as lines."""
    monkeypatch.chdir(place.root)
    records = tiny_records(place, N)
    write_log(place.layout, records)
    yield records
    for name in ("traffic", "replays"):
        shutil.rmtree(place.layout.var / name, ignore_errors=True)
