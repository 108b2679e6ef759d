"""Canaries in a real service: a bad version is aborted, a good one becomes production."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from contracts.canary import Canary
from contracts.decision import Decision
from contracts.names import TAG_CANARY
from contracts.shadow import ShadowRecord
from registry.history import history
from registry.settings import RegistrySettings
from registry.store import Store
from tests.services.conftest import Followed, following
from tests.services.http_client import JSON, ask, changed, eventually
from tests.services.poison import poisoned

pytestmark = pytest.mark.slow
PREDICT = "/models/tiny/predict"


@pytest.fixture(scope="module")
def followed(
    models: Path, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("canary")
    with following(folder, models, registry, SLIPWAY_REGISTRY_CANARY_HOLD_S="0") as running:
        yield running


class Traffic:
    """Users who ask on and on, with rows on which a poisoned version misbehaves."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.failed: list[Any] = []
        self.asked = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            self.asked += 1
            user = {"x-user-id": f"{time.monotonic_ns()}"}
            body = changed(age=20.5 + self.asked % 60)
            status, answer, _ = ask(self._followed.service, PREDICT, body, headers=JSON | user)
            if status != 200:
                self.failed.append(answer)


def begin(followed: Followed, version: int, spec: str) -> None:
    followed.client.set_registered_model_alias("tiny", "challenger", str(version))
    followed.client.set_registered_model_tag("tiny", "slipway.challenger", spec)


def ended(followed: Followed, version: int) -> Canary | None:
    """The canary of a version, once it is over and everything that follows is done."""
    text = followed.client.get_registered_model("tiny").tags.get(TAG_CANARY)
    canary = None if text is None else Canary.read(text.encode())
    is_over = canary and canary.challenger_version == version and canary.is_closed
    return canary if is_over else None


def run(followed: Followed, version: int, spec: str) -> tuple[Canary, Traffic]:
    with Traffic(followed) as traffic:
        begin(followed, version, spec)
        log = followed.service.log
        eventually(lambda: ended(followed, version) is not None, log, seconds=90)
        eventually(lambda: not followed.service.layout.split("tiny").exists(), log)
    canary = ended(followed, version)
    assert canary is not None
    assert not traffic.failed
    return canary, traffic


@pytest.mark.parametrize(
    ("how", "path"), [("fail", "failures"), ("flip", "predictions"), ("slow", "latency")]
)
def test_a_challenger_that_misbehaves_is_taken_back_and_no_request_fails(
    followed: Followed, how: str, path: str
) -> None:
    version = poisoned(followed.client, how)
    canary, _ = run(followed, version, "canary 30,60,100 each 2000")

    assert canary.status == "aborted"
    assert path in [check.path for check in canary.checks if check.refuses]
    model = followed.client.get_registered_model("tiny")
    assert model.tags["slipway.challenger"] == "off"
    assert str(model.aliases["production"]) == "1"
    kept = followed.service.layout.canaries("tiny").glob("2*.json")
    assert canary in [Canary.read(path.read_bytes()) for path in kept]


def test_a_challenger_that_behaves_becomes_production_and_the_decision_is_kept(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 2 with another threshold says yes where production says no; so a twin of 1."""
    twin = poisoned(followed.client, "behave")
    canary, _ = run(followed, twin, "canary 40,100 each 60")

    assert canary.status == "completed"

    def is_production() -> bool:
        answer = followed.answers()
        return (answer["version"], answer["variant"]) == (twin, "production")

    eventually(is_production, followed.service.log)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", followed.client.tracking_uri)
    event = history(Store.open(RegistrySettings()), "tiny")[-1]
    assert (event.kind, event.from_version, event.to_version) == ("promoted", 1, twin)
    assert event.who == "canary"
    assert "passed every step" in event.why
    run_id = followed.client.get_model_version("tiny", str(twin)).run_id
    (document,) = followed.client.list_artifacts(run_id, "decision")
    kept = Path(followed.client.download_artifacts(run_id, document.path))
    decision = Decision.read(kept.read_bytes())
    assert decision.outcome == "promoted"
    assert [c.path for c in decision.checks if c.subject == "canary"] == [
        "failures",
        "latency",
        "predictions",
    ]


def test_a_shadow_scores_what_others_answer_and_is_never_heard(followed: Followed) -> None:
    service = followed.service
    served = followed.answers()["version"]
    followed.client.set_registered_model_alias("tiny", "shadow", "2")
    shadow = service.layout.shadow("tiny")
    eventually(service.layout.pointer("tiny", "shadow").is_file, service.log)

    def said() -> list[ShadowRecord]:
        lines = [
            line for path in shadow.glob("*/*.jsonl") for line in path.read_bytes().splitlines()
        ]
        records = [msgspec.json.decode(line, type=ShadowRecord) for line in lines]
        return [record for record in records if record.role == "shadow"]

    def is_heard() -> bool:
        status, answer, _ = ask(service, PREDICT, changed(age=33.25))
        assert (status, answer["version"]) == (200, served)
        return len(said()) >= 5

    eventually(is_heard, service.log)
    gauges = service.layout.var / "metrics/shadow-tiny.prom"
    text = gauges.read_text()
    followed.client.delete_registered_model_alias("tiny", "shadow")

    record = said()[-1]
    assert (record.version, record.other_version, record.variant) == (served, 2, "production")
    # Both have one graph; only the threshold is another.
    assert record.difference == pytest.approx(0.0, abs=1e-6)
    assert (record.prediction, record.other_prediction, record.agrees) == ("no", "yes", False)
    assert 'role="shadow"' in text
    assert json.dumps("differed") in text
    eventually(lambda: not service.layout.pointer("tiny", "shadow").exists(), service.log)
