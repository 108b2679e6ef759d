"""Features and flags with the users' own names survive the table in Parquet."""

import polars as pl

from contracts.traffic import TrafficRecord
from monitoring.traffic.decode import count_flags, parse_times
from monitoring.traffic.parquet import record_of, table_of

NAMES = ("fixed acidity", "3P%", "a,b", "größe", "features.x", "x:y", "50%2C")


def test_names_with_commas_dots_and_per_cent_signs_come_back() -> None:
    flags = tuple(f"clipped:{name}" for name in NAMES)
    record = TrafficRecord(
        prediction_id="p",
        time="2026-01-31T12:00:00.000000Z",
        model="wine",
        version=1,
        features={name: float(index) for index, name in enumerate(NAMES)},
        prediction="yes",
        score=0.5,
        scores={"ja, nein": 0.5},
        flags=flags,
        latency_ms=1.0,
        request_id="r",
    )
    table = table_of([record], parse_times([record.time]))
    (row,) = table.to_dicts()

    assert record_of(row) == record
    assert count_flags(table["flags"]) == dict.fromkeys(flags, 1)
    assert table.schema["flags"] == pl.String
