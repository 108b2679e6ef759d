"""A share of the units meets the challenger, always the same ones; nobody is left unanswered."""

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import pytest

from contracts.split import bucket_of
from contracts.traffic import TrafficRecord
from registry.pointers import read_split
from services.serving.watcher import POLL_INTERVAL_S
from slipway.app import run_command_line
from tests.services.conftest import Followed, Service, following, serving
from tests.services.http_client import GOOD, JSON, ask, changed, eventually, metric
from tests.services.poison import poisoned
from tests.services.raw_connection import Raw, connected

PREDICT = "/models/tiny/predict"
ODD = changed(age=40.5)
"""A row on which a poisoned version misbehaves."""
FAILURES = 'slipway_challenger_failures_total{code="prediction_failed",model="tiny"}'


@pytest.fixture(scope="module")
def followed(
    models: Path, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Followed]:
    """One service for all tests: each sets the split that it needs."""
    with following(tmp_path_factory.mktemp("split"), models, registry) as running:
        yield running


def variant_of(service: Service, user: str, body: bytes = GOOD, path: str = PREDICT) -> Any:
    status, answer, _ = ask(service, path, body, headers=JSON | {"x-user-id": user})
    assert status == 200, answer
    return answer


def predicted(raw: Raw, user: str, body: bytes = GOOD, path: str = PREDICT) -> Any:
    """The answer to a user on a connection that is kept open."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    raw.send(f"{head}x-user-id: {user}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    status, _, answer = raw.answer()
    assert status == 200, answer
    return answer


def set_split_tag(followed: Followed, spec: str, version: int = 2) -> None:
    """What a person does in `mlflow ui`."""
    followed.client.set_registered_model_alias("tiny", "challenger", str(version))
    followed.client.set_registered_model_tag("tiny", "slipway.challenger", spec)


def weight_of(service: Service) -> float:
    split = read_split(service.layout, "tiny")
    return split.weight if split else 0.0


def await_weight(service: Service, weight: float) -> None:
    """Until every worker divides so: each looks at its files twice a second."""

    def all_agree() -> bool:
        described = [
            ask(service, "/models/tiny", None, "GET")[1].get("challenger") for _ in range(12)
        ]
        return all((each or {"weight": 0.0})["weight"] == weight for each in described)

    eventually(lambda: weight_of(service) == weight, service.log)
    eventually(all_agree, service.log)
    # Connections are not dealt out evenly: who was not asked has looked by now, too.
    time.sleep(2 * POLL_INTERVAL_S)
    eventually(all_agree, service.log)


def records(service: Service) -> list[TrafficRecord]:
    lines = [
        line
        for path in service.layout.traffic("tiny").glob("*/*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    return [msgspec.json.decode(line, type=TrafficRecord) for line in lines]


@pytest.mark.slow
def test_a_split_by_alias_and_tag_is_sticky_over_workers_and_restarts(
    models: Path,
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = tmp_path / "mlflow.db"
    shutil.copy(registry.removeprefix("sqlite:///"), copy)
    uri = f"sqlite:///{copy}"
    settings = {
        "MLFLOW_TRACKING_URI": uri,
        "SLIPWAY_SERVICE_PULL": "true",
        "SLIPWAY_SERVICE_WORKERS": "2",
    }
    users = [f"user-{i}" for i in range(60)]
    with serving(tmp_path, models, **settings) as service:
        followed = Followed(service, mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri))
        assert variant_of(service, "ada")["variant"] == "production"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        wait = ["--wait", "--url", service.url]
        assert run_command_line(["traffic-split", "tiny", "challenger=30%", *wait]) == 0
        assert capsys.readouterr().err == f"in force in 2 workers of {service.url}\n"
        await_weight(service, 0.3)
        first = {user: variant_of(service, user) for user in users}
        again = {user: variant_of(service, user) for user in users * 2}
        set_split_tag(followed, "60%")
        await_weight(service, 0.6)
        raised = {user: variant_of(service, user)["variant"] for user in users}
    with serving(tmp_path, None, **settings) as service:
        restarted = {user: variant_of(service, user)["variant"] for user in users}
        set_split_tag(Followed(service, followed.client), "off")
        await_weight(service, 0.0)
        assert {variant_of(service, user)["variant"] for user in users} == {"production"}

    expected = {
        user: "challenger" if bucket_of("tiny", user.encode())[0] < 0.3 else "production"
        for user in users
    }
    assert {user: answer["variant"] for user, answer in first.items()} == expected
    assert {user: answer["variant"] for user, answer in again.items()} == expected
    assert {(a["variant"], a["version"], a["prediction"]) for a in first.values()} == {
        ("production", 1, "no"),
        ("challenger", 2, "yes"),
    }
    assert restarted == raised
    moved = {(expected[user], raised[user]) for user in users if expected[user] != raised[user]}
    assert moved == {("production", "challenger")}


def assert_every_protocol_answers_with(service: Service, user: str, variant: str) -> None:
    """The four wire protocols, for one user; a version in the path overrides the split."""
    version, prediction = {"challenger": (2, "yes"), "production": (1, "no")}[variant]
    rows = json.dumps({"rows": [json.loads(GOOD)] * 3}).encode()
    columns, values = zip(*json.loads(GOOD).items(), strict=True)
    frame = json.dumps({"dataframe_split": {"columns": columns, "data": [values]}}).encode()
    datatypes = ("BYTES", "FP64", "FP64", "INT64", "BOOL", "BYTES")
    inputs = [
        {"name": name, "shape": [1], "data": [value], "datatype": datatype}
        for name, value, datatype in zip(columns, values, datatypes, strict=True)
    ]
    tensors = json.dumps({"inputs": inputs}).encode()

    assert variant_of(service, user)["variant"] == variant
    batch = variant_of(service, user, rows, "/models/tiny/predict/batch")
    assert {result["variant"] for result in batch["results"]} == {variant}
    invoked = variant_of(service, user, frame, "/models/tiny/invocations")
    assert prediction in json.dumps(invoked)
    inferred = variant_of(service, user, tensors, "/v2/models/tiny/infer")
    assert inferred["model_version"] == str(version)
    for named in (1, 2):
        path = f"/v2/models/tiny/versions/{named}/infer"
        assert variant_of(service, user, tensors, path)["model_version"] == str(named)


@pytest.mark.slow
def test_every_protocol_keeps_to_the_variant_and_the_log_names_no_user(
    followed: Followed,
) -> None:
    service = followed.service
    set_split_tag(followed, "50% by age")
    await_weight(service, 0.5)
    users = {"challenger": "", "production": ""}
    for i in range(100):
        point, _ = bucket_of("tiny", f"secret-{i}".encode())
        users["challenger" if point < 0.5 else "production"] = f"secret-{i}"
    for variant, user in users.items():
        assert_every_protocol_answers_with(service, user, variant)
    by_field = {ask(service, PREDICT, changed(age=a))[1]["variant"] for a in [33] * 6}
    assert len(by_field) == 1
    logged = records(service)
    assert {r.unit for r in logged if r.assigned} >= {
        bucket_of("tiny", user.encode())[1] for user in users.values()
    }
    assert {(r.assigned, r.variant, r.weight) for r in logged if r.assigned} == {
        ("challenger", "challenger", 0.5),
        ("production", "production", 0.5),
    }
    text = b"".join(p.read_bytes() for p in service.layout.var.rglob("*.jsonl"))
    assert b"secret-" not in text
    counted = [
        metric(
            service,
            f'slipway_predictions_total{{model="tiny",prediction="{word}",variant="{variant}",'
            f'version="{number}"}}',
        )
        for variant, number, word in (("challenger", 2, "yes"), ("production", 1, "no"))
    ]
    assert min(counted) > 5
    assert metric(service, 'slipway_request_seconds_count{model="tiny",variant="challenger"}') > 3


@pytest.mark.slow
def test_a_kept_connection_answers_each_user_by_their_variant(followed: Followed) -> None:
    """Each request on a connection is answered for its own user."""
    service = followed.service
    set_split_tag(followed, "50%")
    await_weight(service, 0.5)

    with connected(service) as raw:
        got = [(user, predicted(raw, user)["variant"]) for user in [f"u{i}" for i in range(20)] * 3]
    assert {
        (user, "challenger" if bucket_of("tiny", user.encode())[0] < 0.5 else "production")
        for user, _ in got
    } == set(got)


@pytest.mark.slow
def test_production_answers_what_the_challenger_fails(followed: Followed) -> None:
    service = followed.service
    before = metric(service, FAILURES)
    broken = poisoned(followed.client, "fail")
    set_split_tag(followed, "100%", broken)
    await_weight(service, 1.0)
    eventually(lambda: variant_of(service, "ada")["version"] == broken, service.log)
    assert variant_of(service, "ada")["variant"] == "challenger"
    answers = [variant_of(service, f"u{i}", ODD) for i in range(5)]
    rows = json.dumps({"rows": [json.loads(GOOD), json.loads(ODD)]}).encode()
    batch = variant_of(service, "ada", rows, "/models/tiny/predict/batch")
    ordinary = ask(service, PREDICT, ODD, headers=JSON | {"x-request-id": "named"})

    assert {a["variant"] for a in answers} == {"production"}
    assert batch["failed"] == 0
    assert {r["variant"] for r in batch["results"]} == {"production"}
    assert ordinary[:1] == (200,)
    failed = [r for r in records(service) if r.assigned == "challenger" != r.variant]
    assert len(failed) == 8
    assert {r.weight for r in failed} == {1.0}
    assert metric(service, FAILURES) - before == 7

    # Again on the fast path, mixed with requests that the challenger can answer.
    with connected(service) as raw:
        kept = [predicted(raw, f"u{i % 2}", body) for i, body in enumerate([GOOD, ODD] * 6)]
        batches = [predicted(raw, "ada", rows, "/models/tiny/predict/batch") for _ in range(3)]
    assert [answer["variant"] for answer in kept] == ["challenger", "production"] * 6
    assert all(batch["failed"] == 0 for batch in batches)
    variants = {result["variant"] for batch in batches for result in batch["results"]}
    assert variants == {"production"}
    assert metric(service, FAILURES) - before == 7 + 6 + 3
    assert "could not be completed" not in service.log.read_text()


@pytest.mark.slow
def test_a_challenger_that_cannot_be_asked_the_same_disturbs_nobody(
    followed: Followed,
) -> None:
    """A feature that only one version knows: asking it would refuse half of the requests."""
    service = followed.service
    version = followed.client.get_model_version("tiny", "2")
    set_split_tag(followed, "50% by colour")
    eventually(lambda: "by: expected one of the features" in service.log.read_text(), service.log)
    await_weight(service, 0.0)
    assert "colour" in followed.client.get_model_version("tiny", "2").tags["slipway.refused"]
    assert {variant_of(service, f"u{i}")["variant"] for i in range(20)} == {"production"}
    layout = service.layout
    for path in (layout.split("tiny"), layout.pointer("tiny", "challenger")):
        path.write_bytes(b"{torn")
    eventually(lambda: "ignoring the file" in service.log.read_text(), service.log)
    assert {variant_of(service, f"u{i}")["variant"] for i in range(20)} == {"production"}
    set_split_tag(followed, "every other")
    eventually(lambda: "got 'every other'" in service.log.read_text(), service.log)
    assert {variant_of(service, f"u{i}")["variant"] for i in range(20)} == {"production"}
    set_split_tag(followed, "50%")
    await_weight(service, 0.5)
    assert {variant_of(service, f"u{i}")["variant"] for i in range(20)} == {
        "challenger",
        "production",
    }
    assert "slipway.refused" not in followed.client.get_model_version("tiny", version.version).tags


@pytest.mark.slow
def test_weights_that_move_under_load_fail_no_request(followed: Followed) -> None:
    service = followed.service
    stop = threading.Event()
    seen: Counter[tuple[str, int]] = Counter()
    failures: list[Any] = []

    def client(first: int) -> None:
        while not stop.is_set():
            try:
                answer = variant_of(service, f"u{first + len(seen)}")
                seen[answer["variant"], answer["version"]] += 1
            except (AssertionError, OSError) as err:
                failures.append(err)
                return

    threads = [threading.Thread(target=client, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for weight in (20, 100, 5, 80):
        set_split_tag(followed, f"{weight}%")
        await_weight(service, weight / 100)
    set_split_tag(followed, "off")
    await_weight(service, 0.0)
    stop.set()
    for thread in threads:
        thread.join()

    assert not failures
    assert set(seen) == {("production", 1), ("challenger", 2)}
