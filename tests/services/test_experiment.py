"""An experiment as a real service divides and logs it, analysed and replayed from that log."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts.split import bucket_of
from monitoring.baseline import find_baseline
from monitoring.experiment.analysis import ExperimentPlan, analyse_experiment
from monitoring.replay.run import ReplayRequest, replay
from monitoring.traffic.compaction import compact_day
from monitoring.traffic.window import TimeWindow
from registry.settings import RegistrySettings
from registry.store import Store
from tests import tiny
from tests.services.conftest import Followed, Service, following
from tests.services.http_client import JSON, ask
from tests.services.test_split import PREDICT, await_weight, set_split_tag
from training.dataset import plain_rows

pytestmark = pytest.mark.slow

USERS, EACH = 300, 2


@pytest.fixture(scope="module")
def followed(
    models: Path, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Followed]:
    with following(tmp_path_factory.mktemp("experiment"), models, registry) as running:
        yield running


def predict_and_label(service: Service) -> dict[str, list[bool]]:
    """Predict for every user and send the labels; whether each prediction was right, by variant."""
    people = tiny.people(USERS * EACH, seed=9)
    labels, right = [], defaultdict(list)
    rows = zip(plain_rows(people, tiny.SCHEMA), people.paid, strict=True)
    for i, (row, truth) in enumerate(rows):
        user = f"user-{i % USERS}"
        body = json.dumps(row).encode()
        status, answer, _ = ask(service, PREDICT, body, headers=JSON | {"x-user-id": user})
        assert status == 200, answer
        labels.append({"prediction_id": answer["prediction_id"], "truth": truth})
        right[answer["variant"]].append(answer["prediction"] == truth)
    body = json.dumps({"labels": labels}).encode()
    status, taken, _ = ask(service, "/models/tiny/labels", body)
    assert (status, taken["accepted"]) == (200, USERS * EACH), taken
    return right


@pytest.mark.usefixtures("workplace")
def test_what_the_service_divides_the_analysis_finds(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = followed.service
    monkeypatch.chdir(service.layout.var.parent)
    set_split_tag(followed, "50%")
    await_weight(service, 0.5)
    right = predict_and_label(service)

    now = datetime.now(UTC)
    store = Store.open(RegistrySettings())
    span = TimeWindow("tiny", None, now - timedelta(hours=1), now)
    plan = ExperimentPlan(span, "accuracy", planned_units=USERS)
    served = find_baseline(store, service.layout, "tiny", None)
    lines = analyse_experiment(service.layout, served, plan, now=now)
    for day in service.layout.traffic("tiny").glob("20*"):
        compact_day(day)
        for path in day.glob("*.jsonl"):
            path.unlink()
    stored = analyse_experiment(service.layout, served, plan, now=now)

    mine = sum(bucket_of("tiny", f"user-{i}".encode())[0] < 0.5 for i in range(USERS))
    for found in (lines, stored):
        assert (found.production_version, found.challenger_version) == (1, 2)
        (stratum,) = found.ratio.strata
        assert (stratum.weight, stratum.challenger, stratum.production) == (0.5, mine, USERS - mine)
        assert (found.units, found.rows, found.mixed_units) == (USERS, USERS * EACH, 0)
        assert found.effect is not None
        assert found.effect.difference == pytest.approx(
            np.mean(right["challenger"]) - np.mean(right["production"])
        )
    assert lines.outcome == stored.outcome

    challenger = find_baseline(store, service.layout, "tiny", 2)
    own = replay(service.layout, challenger, ReplayRequest(span), now=now)
    assert own.reproduction is not None
    assert own.reproduction.rows == own.reproduction.identical == len(right["challenger"])
    assert {(g.version, g.variant) for g in own.groups} == {(1, "production"), (2, "challenger")}
