"""A timestamp through the loop: served, logged as it was sent, judged by its parts, explained."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from contracts.manifest import Pointer
from contracts.traffic import TrafficRecord
from contracts.verdict import Verdict
from monitoring.baseline import find_baseline
from monitoring.explanation.shapley import explain
from monitoring.monitor import run
from monitoring.reporting import evidently
from monitoring.settings import MonitoringSettings
from monitoring.traffic.compaction import compact_day
from registry.promote import promote
from registry.pull import pull
from services.faults import Fault
from services.inference.loader import load_model
from services.protocols.tensor_decoder import TensorDecoder
from services.protocols.tensors import Tensor, input_metadata
from tests.conftest import Workplace
from tests.training.test_timestamps import recipe_with
from training.run import train_recipe

START = datetime(2026, 1, 10, tzinfo=UTC)
END = START + timedelta(days=8)
N_ROWS = 1600


@pytest.fixture
def served(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A version of the trips that is served."""
    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
    recipe = recipe_with(lambda: HistGradientBoostingRegressor(max_iter=20))
    train_recipe(recipe, workplace.store)
    promote(workplace.store, "trips", actor="ada")
    pull(workplace.store, workplace.layout, "trips")
    return workplace


def answered(place: Workplace, rows: Sequence[dict[str, Any]]) -> list[TrafficRecord]:
    """What the service would log of rows that come evenly over the window."""
    pointer = Pointer.read(place.layout.pointer("trips").read_bytes(), "pointer")
    model = load_model(place.layout.model("trips", 1), pointer)
    decoded = [model.decoder.one(msgspec.json.encode(row)) for row in rows]
    matrix = np.concatenate([np.asarray(each.numbers, np.float32) for each in decoded])
    scores = model.session.run(matrix)[:, 0].astype(float).tolist()
    step = (END - START) / len(rows)
    return [
        TrafficRecord(
            prediction_id=f"id-{i}",
            time=f"{(START + i * step).replace(tzinfo=None).isoformat(timespec='microseconds')}Z",
            model="trips",
            version=1,
            features=msgspec.json.decode(bytes(each.features[0])),
            prediction=score,
            score=score,
            scores={"fare": score},
        )
        for i, (each, score) in enumerate(zip(decoded, scores, strict=True))
    ]


def log(place: Workplace, records: Sequence[TrafficRecord]) -> None:
    """One file per day."""
    by_day: dict[str, list[bytes]] = {}
    for record in records:
        by_day.setdefault(record.time[:10], []).append(msgspec.json.encode(record) + b"\n")
    for day, lines in by_day.items():
        folder = place.layout.traffic("trips") / day
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "000000-1-0.jsonl").write_bytes(b"".join(lines))


def judged(place: Workplace, start: datetime = START) -> Verdict:
    """The verdict on the window from `start` on."""
    settings = MonitoringSettings()
    return run(place.store, place.layout, "trips", start=start, end=END, settings=settings, now=END)


def trips_at(hours: Sequence[float]) -> list[dict[str, Any]]:
    """Trips like those of training, at these hours of New York since the window began."""
    rng = np.random.default_rng(7)
    times = [START + timedelta(hours=hour + 5) for hour in hours]
    return [
        {
            "pickup": time.isoformat(),
            "distance": float(rng.exponential(5.0)),
            "zone": str(rng.choice(["a", "b"])),
        }
        for time in times
    ]


def test_a_timestamp_is_judged_by_its_parts(served: Workplace) -> None:
    """Those whose cycle the window spans: no window of a week has all months."""
    hours = np.linspace(0, 8 * 24 - 1, N_ROWS)
    records = answered(served, trips_at(hours.tolist()))
    log(served, records)
    whole = judged(served)
    last_day = judged(served, END - timedelta(days=1))

    assert records[0].features["pickup"] == "2026-01-10T05:00:00+00:00"
    columns = {finding.column: finding.drifted for finding in whole.findings}
    assert columns == {
        **dict.fromkeys(("pickup_hour", "pickup_weekday", "distance", "zone", "score"), False)
    }
    assert not whole.quality
    assert "pickup_weekday" not in {finding.column for finding in last_day.findings}

    found = explain(
        served.layout, find_baseline(served.store, served.layout, "trips", 1), records[9]
    )
    by_name = {each.feature: each for each in found.contributions}
    assert by_name["pickup"].value == records[9].features["pickup"]
    assert by_name["pickup"].contribution != 0.0
    assert sum(each.contribution for each in found.contributions) == pytest.approx(
        found.score - found.base
    )


def test_tensors_have_the_answers_of_json(served: Workplace) -> None:
    """Timestamps are BYTES, in few rows and in many; a matrix of numbers has none."""
    pointer = Pointer.read(served.layout.pointer("trips").read_bytes(), "pointer")
    model = load_model(served.layout.model("trips", 1), pointer)
    rows = trips_at(list(range(12)))
    body = msgspec.json.encode({"rows": rows})
    expected = model.decoder.fast_rows(body, 100)
    decoder = TensorDecoder(model)
    kinds = {"pickup": "BYTES", "zone": "BYTES", "distance": "FP64"}

    assert expected is not None
    for n_rows in (3, 12):
        tensors = [
            Tensor(name, kind, [n_rows], name, listed=[row[name] for row in rows[:n_rows]])
            for name, kind in kinds.items()
        ]
        found = decoder.rows(tensors, 100)
        numbers = np.asarray(expected.numbers)[:n_rows]
        assert np.array_equal(np.asarray(found.numbers, np.float32), numbers)
    with pytest.raises(Fault, match="one tensor per feature with its name"):
        decoder.rows([Tensor("rows", "FP64", [1, 3], "inputs[0]", listed=[1.0, 2.0, 3.0])], 100)
    metadata = {f.name: input_metadata(f) for f in model.manifest.schema.columns}
    assert metadata["pickup"].datatype == "BYTES"
    assert metadata["pickup"].parameters["format"] == "date-time"  # type: ignore[index]  # it has some


def test_drift_and_faults_of_a_timestamp_are_named(served: Workplace) -> None:
    """Everybody comes at night; one in ten sends no time; another one sends something else."""
    rng = np.random.default_rng(1)
    nights = np.repeat(np.arange(8) * 24.0, N_ROWS // 8) + rng.uniform(0, 4, N_ROWS)
    records = answered(served, trips_at(nights.tolist()))
    strange: dict[int, object] = {0: None, 1: "yesterday", 2: 1768003200}
    changed = [
        msgspec.structs.replace(r, features=r.features | {"pickup": strange[i % 5]})
        if i % 5 in strange
        else r
        for i, r in enumerate(records)
    ]
    log(served, changed)
    from_lines = judged(served)
    for day in range(8):
        compact_day(served.layout.traffic("trips") / f"2026-01-{10 + day}")
    from_parquet = judged(served)

    for verdict in (from_lines, from_parquet):
        assert {f.column for f in verdict.findings if f.drifted} >= {"pickup_hour"}
        faults = {(each.column, each.fault): each.share for each in verdict.quality}
        assert faults[("pickup", "missing")] == pytest.approx(0.2)
        assert faults[("pickup", "type_change")] == pytest.approx(0.4)
    assert from_lines.findings == from_parquet.findings
