"""What a real service answered is answered again bit for bit, whoever else asked at the time."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.replay import Replay
from monitoring.baseline import find_baseline
from monitoring.replay.run import ReplayRequest, replay
from monitoring.traffic.compaction import compact_day
from monitoring.traffic.window import TimeWindow
from registry.settings import RegistrySettings
from registry.store import Store
from slipway.load_client import send
from tests import tiny
from tests.services.conftest import Service, serving
from tests.services.http_client import GOOD, ask, changed
from training.dataset import plain_rows
from training.recipe import Recipe

pytestmark = pytest.mark.slow

RECIPES = (tiny.binary(), tiny.multiclass(), tiny.regression(), tiny.pair())
ALONE, TOGETHER = 40, 400


def replayed(service: Service, name: str) -> Replay:
    now = datetime.now(UTC)
    span = TimeWindow(name, None, now - timedelta(hours=1), now + timedelta(minutes=1))
    baseline = find_baseline(Store.open(RegistrySettings()), service.layout, name, None)
    return replay(service.layout, baseline, ReplayRequest(span), now=now)


def ask_in_every_way(service: Service, recipe: Recipe) -> int:
    """One after the other, many at once, and as a batch; how many rows were answered."""
    rows = plain_rows(recipe.load().iloc[:TOGETHER], recipe.schema)
    singly = send(service.url, recipe.name, rows[:ALONE], connections=1)
    together = send(service.url, recipe.name, rows, connections=16)
    body = json.dumps({"rows": rows[:100]}).encode()
    status, batch, _ = ask(service, f"/models/{recipe.name}/predict/batch", body)
    assert (singly.errors, together.errors, status, batch["failed"]) == (0, 0, 200, 0)
    return ALONE + TOGETHER + 100


@pytest.mark.usefixtures("workplace")
def test_every_answer_is_reproduced_bit_for_bit(models: Path, tmp_path: Path) -> None:
    """One after the other a linear model's rows have other last bits than in company."""
    folder = tmp_path / "service"
    folder.mkdir()
    with serving(folder, models) as service:
        asked = {recipe.name: ask_in_every_way(service, recipe) for recipe in RECIPES}
        for body in (
            changed(income=None, region=None),
            changed(income=2e6, lines=70, region="moon"),
            GOOD.replace(b"40", b"40.0"),
        ):
            assert ask(service, "/models/tiny/predict", body)[0] == 200
    asked["tiny"] += 3

    for name, rows in asked.items():
        lines = replayed(service, name)
        for day in service.layout.traffic(name).glob("20*"):
            compact_day(day)
        for path in service.layout.traffic(name).glob("20*/*.jsonl"):
            path.unlink()
        for found in (lines, replayed(service, name)):
            assert found.reproduction is not None
            assert (found.replayed, found.reproduction.rows) == (rows, rows), found.refusals
            assert found.reproduction.identical == rows, name
            assert found.flips.flips == 0
        if name == "tiny":
            assert lines.reproduction is not None
            assert lines.reproduction.identical_unbatched > 0, (
                "the proof needs rows that differ in company"
            )
