"""Alias, stage and record: one production version, whoever moved which of them."""

import itertools
from typing import Any

import pytest
from mlflow import MlflowClient
from msgspec.structs import replace

from contracts.decision import Decision
from contracts.errors import GateRefused, InvalidData, NotRegistered
from contracts.manifest import GateResult, Manifest
from contracts.names import TAG_EXAMINED
from contracts.schema import Schema, category, integer, number
from registry.gate import judge_version
from registry.history import history
from registry.listing import list_versions
from registry.manifests import fetch_manifest
from registry.production import ProductionState, desired_version, reconcile
from registry.promote import promote
from registry.rollback import rollback
from tests import tiny
from tests.conftest import Workplace
from training.run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning")


def client(workplace: Workplace) -> MlflowClient:
    uri = workplace.store.tracking_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def stage(workplace: Workplace, version: int, to: str) -> None:
    client(workplace).transition_model_version_stage("tiny", str(version), to)


@pytest.mark.parametrize(
    ("alias", "staged", "recorded", "wanted"),
    [
        (None, set(), None, None),
        (1, set(), None, 1),
        (None, {2}, None, 2),
        (1, {1}, 1, 1),
        (2, {1}, 1, 2),
        (1, {2}, 1, 2),
        (1, {1, 2}, 1, 2),
        (1, {1, 2, 3}, 1, 3),
        (1, set(), 1, None),
        (None, {1}, 1, None),
        (3, {2}, 1, 3),
        (None, set(), 1, None),
        (2, {2}, 1, 2),
    ],
)
def test_the_alias_or_stage_that_moved_since_the_record_decides(
    alias: int | None, staged: set[int], recorded: int | None, wanted: int | None
) -> None:
    assert desired_version(ProductionState(alias, staged, recorded)) == wanted


def test_alias_stage_and_record_agree_after_every_change_by_hand(
    trained: Workplace,
) -> None:
    by_hand: list[tuple[Any, int | None]] = [
        (lambda: client(trained).set_registered_model_alias("tiny", "production", "1"), 1),
        (lambda: stage(trained, 2, "Production"), 2),
        (lambda: stage(trained, 3, "Production"), 3),
        (lambda: client(trained).set_registered_model_alias("tiny", "production", "2"), 2),
        (lambda: stage(trained, 2, "Archived"), None),
        (lambda: stage(trained, 1, "Production"), 1),
        (lambda: client(trained).delete_registered_model_alias("tiny", "production"), None),
    ]
    for act, wanted in by_hand:
        act()
        assert reconcile(trained.store, "tiny") == wanted
        found = {v.version for v in list_versions(trained.store, "tiny") if v.stage == "Production"}
        assert found == ({wanted} if wanted else set())
        assert trained.store.models.get("tiny").aliases.get("production") == wanted
    kinds = [event.kind for event in history(trained.store, "tiny")]
    assert kinds == ["observed"] * 4 + ["removed", "observed", "removed"]


def test_promotion_rollback_and_history(trained: Workplace) -> None:
    store = trained.store
    first = promote(store, "tiny", 1, actor="ada", because="first")
    second = promote(store, "tiny", actor="bob")
    again = promote(store, "tiny", 3, actor="bob")
    back = rollback(store, "tiny", actor="ada", because="complaints")

    assert (first.from_version, first.to_version) == (None, 1)
    assert (second.from_version, second.to_version) == (1, 3)
    assert not again.changed
    assert (back.from_version, back.to_version) == (3, 1)
    assert reconcile(store, "tiny") == 1
    moves = [(e.kind, e.from_version, e.to_version, e.who, e.why) for e in history(store, "tiny")]
    assert moves == [
        ("promoted", None, 1, "ada", "first"),
        ("promoted", 1, 3, "bob", ""),
        ("rolled_back", 3, 1, "ada", "complaints"),
    ]
    assert any("roc_auc" in line for line in history(store, "tiny")[0].evidence)


def test_a_rollback_from_the_fit_on_all_rows_undoes_the_retraining(trained: Workplace) -> None:
    store = trained.store
    store.versions.set_tag("tiny", 3, TAG_EXAMINED, "2")
    for version in (1, 2, 3):
        promote(store, "tiny", version, actor="ada", force=True, because="retraining")

    assert rollback(store, "tiny", actor="ada").to_version == 1

    store.versions.delete("tiny", 1)
    promote(store, "tiny", 3, actor="ada", force=True, because="again")
    with pytest.raises(NotRegistered, match="expected a production version before version 3"):
        rollback(store, "tiny", actor="ada")


def test_a_missing_model_or_version_is_reported_with_those_that_exist(trained: Workplace) -> None:
    with pytest.raises(NotRegistered, match="expected one of tiny, got 'tny'") as caught:
        promote(trained.store, "tny", actor="ada")
    assert caught.value.remedy == "did you mean 'tiny'?"
    with pytest.raises(NotRegistered, match=r"expected one of its versions \(1, 2, 3\), got 9"):
        promote(trained.store, "tiny", 9, actor="ada")
    with pytest.raises(NotRegistered, match="expected a production version before none"):
        rollback(trained.store, "tiny", actor="ada")


def test_a_failed_gate_holds_a_version_back_unless_forced_with_a_reason(
    workplace: Workplace,
) -> None:
    from training.recipe import Gate

    store = workplace.store
    train_recipe(tiny.binary(gates=(Gate("roc_auc", minimum=0.999),)), store)
    with pytest.raises(GateRefused, match=r"roc_auc: expected at least 0\.999, got 0"):
        promote(store, "tiny", actor="ada")
    with pytest.raises(InvalidData, match="--force: expected a reason"):
        promote(store, "tiny", actor="ada", force=True)
    assert reconcile(store, "tiny") is None

    promote(store, "tiny", actor="ada", force=True, because="demo")
    event = history(store, "tiny")[-1]
    assert (event.kind, event.why) == ("forced", "demo")
    assert event.evidence[0].startswith("against: roc_auc")


def test_a_reason_that_mlflow_cannot_store_is_refused_and_nothing_changes(
    trained: Workplace,
) -> None:
    kept: list[Decision] = []
    with pytest.raises(InvalidData, match="expected a record of at most 5000 characters"):
        promote(trained.store, "tiny", actor="ada", because="x" * 6000, keep=kept.append)

    assert kept == [], "no document says that it was promoted"
    assert reconcile(trained.store, "tiny") is None
    assert history(trained.store, "tiny") == []


OLD = Schema(
    features=(
        number("a", 0, 10),
        integer("b", 0, 5, nullable=True),
        category("c", ["x", "y"], policy="flag"),
    )
)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ((*OLD.features[1:],), "feature a: clients send it"),
        ((*OLD.features, number("d")), "feature d: clients do not send it"),
        ((number("a", 1, 10), *OLD.features[1:]), "would shrink to 1..10"),
        ((OLD.features[0], integer("b", 0, 5), OLD.features[2]), "b: it may be missing today"),
        ((*OLD.features[:2], category("c", ["x", "y"])), "policy flag would become reject"),
        ((category("a", ["1"]), *OLD.features[1:]), "expected type float, got category"),
    ],
)
def test_a_promise_to_clients_is_not_broken(trained: Workplace, features: Any, reason: str) -> None:
    manifest = fetch_manifest(trained.store, "tiny", 1)
    old, new = (replace(manifest, schema=s) for s in (OLD, Schema(features=features)))
    judgement = judge_version(new, old)

    assert not judgement.allowed
    assert any(reason in found for found in judgement.reasons), judgement.reasons


def test_a_looser_contract_and_an_equal_model_pass(trained: Workplace) -> None:
    manifest = fetch_manifest(trained.store, "tiny", 1)
    looser = Schema(features=(number("a"), *OLD.features[1:], number("d", nullable=True)))
    old, new = (replace(manifest, schema=s) for s in (OLD, looser))

    assert judge_version(new, old).allowed


def test_a_clearly_worse_model_is_held_back(trained: Workplace) -> None:
    manifest: Manifest = fetch_manifest(trained.store, "tiny", 1)
    metric = manifest.metrics["roc_auc"]
    worse = replace(metric, value=0.51, low=0.5, high=metric.low - 0.01)
    poor = replace(manifest, metrics=manifest.metrics | {"roc_auc": worse})
    failed = replace(
        manifest, gates=(GateResult(metric="roc_auc", value=0.1, maximum=0.05, passed=False),)
    )

    assert "expected not clearly worse" in judge_version(poor, manifest).reasons[0]
    assert judge_version(manifest, poor).allowed
    assert "expected at most 0.05" in judge_version(failed, None).reasons[0]


def test_racing_promotions_leave_one_production_version(trained: Workplace) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(promote, trained.store, "tiny", version, actor=f"p{version}")
            for version in itertools.islice(itertools.cycle([1, 2, 3]), 12)
        ]
        for job in jobs:
            job.result()
    final = reconcile(trained.store, "tiny")
    listed = list_versions(trained.store, "tiny")

    assert [v.version for v in listed if v.is_production] == [final]
    assert [v.version for v in listed if v.stage == "Production"] == [final]
