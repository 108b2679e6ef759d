"""Promotion by command: a tie is refused, a lost production needs force, all is recorded."""

import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from contracts.decision import Check, Decision
from contracts.errors import GateRefused, NotRegistered, PlatformError
from contracts.manifest import Manifest
from registry.gate import Comparison
from registry.history import history
from registry.manifests import fetch_manifest
from registry.production import reconcile
from registry.promote import Promotion, promote
from registry.rollback import rollback
from tests import tiny
from tests.conftest import Workplace
from tests.registry.test_faults import artifacts
from training.dataset import load_table, split
from training.evaluation import checks, model_version
from training.evaluation.compare import compare_by_name, compare_versions, count_attempt
from training.evaluation.decision_log import log_decision
from training.evaluation.model_version import ModelVersion
from training.evaluation.paired_predictions import evaluate_pair
from training.onnx_session import OnnxSession
from training.recipe import Recipe, load_recipe
from training.run import train_recipe

PEOPLE = 2_000
RECIPE = tiny.binary(load=lambda: tiny.people(PEOPLE))


def blind() -> Any:
    """A model that uses one column of little value."""
    return make_pipeline(
        make_column_transformer((SimpleImputer(), ["lines"])), LogisticRegression()
    )


WEAK = replace(RECIPE, estimator=blind)


def ask(workplace: Workplace, recipe: Recipe = RECIPE, **words: Any) -> Promotion:
    """Promote as `slipway promote` does, with this recipe."""
    return promote(
        workplace.store,
        recipe.name,
        actor="ada",
        compare=partial(compare_versions, workplace.store, workplace.layout, recipe),
        keep=partial(log_decision, workplace.store),
        **words,
    )


def decisions(workplace: Workplace, version: int) -> list[Decision]:
    """The decisions that are logged to a version's run, read back."""
    run_id = workplace.store.versions.get("tiny", version).run_id
    names = [n for n in workplace.store.artifacts.paths(run_id, "decision") if n.endswith(".json")]
    folder = workplace.root / "read"
    folder.mkdir(exist_ok=True)
    return [
        Decision.read(workplace.store.artifacts.download(run_id, name, folder).read_bytes())
        for name in sorted(names)
    ]


def attempts(workplace: Workplace) -> list[str]:
    tags = workplace.store.models.get("tiny").tags
    return sorted(value for key, value in tags.items() if key.startswith("slipway.exam."))


def found(decision: Decision, path: str) -> Check:
    return next(check for check in decision.checks if check.path == path)


def test_a_better_version_is_promoted_and_the_decision_can_be_read_later(
    workplace: Workplace,
) -> None:
    store = workplace.store
    train_recipe(WEAK, store)
    first = ask(workplace, because="nothing was there")
    train_recipe(RECIPE, store)
    second = ask(workplace)

    assert (first.to_version, second.from_version, second.to_version) == (1, 1, 2)
    (unopposed,), (decision,) = decisions(workplace, 1), decisions(workplace, 2)
    assert (unopposed.production_version, unopposed.evaluation, unopposed.because) == (
        None,
        None,
        "nothing was there",
    )
    assert decision == second.decision
    assert decision.outcome == "promoted"
    assert decision.evaluation
    assert (decision.evaluation.rows, decision.evaluation.attempt) == (PEOPLE // 4, 1)
    assert decision.evaluation.challenger == pytest.approx(
        fetch_manifest(store, "tiny", 2).metrics["roc_auc"].value, abs=1e-6
    )
    assert decision.evaluation.low > 0
    subjects = {check.subject for check in decision.checks}
    assert subjects == {
        "parity",
        "gate",
        "contract",
        "metric",
        "calibration",
        "latency",
        "size",
    }
    assert found(decision, "latency of 100 rows").got.count(" ms") == 2
    evidence = history(store, "tiny")[-1].evidence
    assert evidence[0] == f"decision {decision.decision_id}"
    assert re.match(r"roc_auc: \S+ is significantly better than production's", evidence[1])
    run_id = store.versions.get("tiny", 2).run_id
    assert f"decision/{decision.decision_id}.html" in store.artifacts.paths(run_id, "decision")


def test_a_tie_does_not_promote_and_trying_again_counts(trained: Workplace) -> None:
    """Versions 1 to 3 are the same model: the same exam, the same answers."""
    recipe = tiny.binary()
    ask(trained, recipe, version=1)
    for version in (2, 2, 3):
        with pytest.raises(GateRefused, match=r"roc_auc: .* since both predict alike: a tie"):
            ask(trained, recipe, version=version)

    assert reconcile(trained.store, "tiny") == 1
    assert attempts(trained) == ["1", "2"]
    last = decisions(trained, 3)[-1]
    assert last.evaluation
    assert (last.outcome, last.evaluation.attempt) == ("refused", 2)
    assert last.evaluation.alpha == pytest.approx(0.0304 / 4, rel=1e-3)
    assert len(decisions(trained, 2)) == 2
    assert [event.kind for event in history(trained.store, "tiny")] == ["promoted"]


def test_an_evaluation_holds_only_rows_that_neither_version_was_fitted_on(
    workplace: Workplace,
) -> None:
    recipe = tiny.binary(load=lambda: tiny.people(800))
    versions = []
    for seed in (0, 1):
        trained = train_recipe(recipe, workplace.store, seed=seed)
        folder = workplace.root / str(seed)
        folder.mkdir()
        directory = workplace.store.artifacts.download(trained.run_id, "model_directory", folder)
        manifest = Manifest.read((directory / "manifest.json").read_bytes())
        versions.append(ModelVersion(trained.version, manifest, trained.digest, directory))
    evaluation = evaluate_pair(recipe, *versions)
    table = load_table(recipe)
    both = set(split(recipe, table, 0).holdout.index) & set(split(recipe, table, 1).holdout.index)
    expected = table.loc[sorted(both)].reset_index(drop=True)

    assert evaluation.rows.equals(expected)
    assert evaluate_pair(recipe, versions[0], versions[0]).rows.shape == (200, 8)


@pytest.mark.parametrize("recipe", [tiny.regression(), tiny.pair()], ids=lambda recipe: recipe.name)
def test_regressions_are_evaluated_too(workplace: Workplace, recipe: Recipe) -> None:
    train_recipe(recipe, workplace.store)
    comparison = compare_versions(workplace.store, workplace.layout, recipe, 1, 1)
    manifest = fetch_manifest(workplace.store, recipe.name, 1)

    assert comparison.evaluation
    assert comparison.evaluation.rows == 100
    metric = manifest.metrics[recipe.gates[0].metric].value
    assert comparison.evaluation.challenger == pytest.approx(metric, rel=1e-5)
    assert [check.subject for check in comparison.checks if check.refuses] == ["metric"]


def test_each_version_is_opened_once(trained: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counted(OnnxSession):
        def __init__(self, model: bytes) -> None:
            opened.append(len(model))
            super().__init__(model)

    monkeypatch.setattr(model_version, "OnnxSession", Counted)
    compare_versions(trained.store, trained.layout, tiny.binary(), 1, 2)

    assert len(opened) == 2


def lost(workplace: Workplace) -> None:
    shutil.rmtree(artifacts(workplace, "tiny"))


def torn(workplace: Workplace) -> None:
    path = artifacts(workplace, "tiny") / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])


def edited(workplace: Workplace) -> None:
    path = artifacts(workplace, "tiny") / "manifest.json"
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize("damage", [lost, torn, edited])
def test_a_lost_production_can_only_be_replaced_with_force_and_a_reason(
    trained: Workplace, damage: Callable[[Workplace], None]
) -> None:
    recipe = tiny.binary()
    ask(trained, recipe, version=1)
    damage(trained)
    with pytest.raises(GateRefused, match="production version 1: expected its model directory"):
        ask(trained, recipe, version=2)
    assert reconcile(trained.store, "tiny") == 1

    ask(trained, recipe, version=2, force=True, because="the disk of version 1 is gone")
    assert reconcile(trained.store, "tiny") == 2
    refused, forced = decisions(trained, 2)
    assert (refused.outcome, forced.outcome) == ("refused", "forced")
    assert forced.because == "the disk of version 1 is gone"
    assert found(forced, "production version 1").refuses
    assert history(trained.store, "tiny")[-1].kind == "forced"
    assert attempts(trained) == []


def test_force_overrides_an_artifact_store_of_production_that_is_away(both: Workplace) -> None:
    """Version 1 is in an experiment of its own, whose folder is gone."""
    store = both.store
    train_recipe(tiny.binary("other"), store)
    source = store.versions.get("other", 1)
    shutil.rmtree(artifacts(both, "other").parents[1])
    with pytest.raises(PlatformError):
        promote(store, "other", 2, actor="ada")
    promote(store, "other", 2, actor="ada", force=True, because="its store burnt")

    assert reconcile(store, "other") == 2
    assert source.version == 1


def test_a_recipe_that_cannot_be_loaded_is_a_reason_against(trained: Workplace) -> None:
    store = trained.store
    by_name = partial(compare_by_name, store, trained.layout, "tiny")
    promote(store, "tiny", 1, actor="ada", compare=by_name)
    with pytest.raises(GateRefused, match="exam: expected the recipe of tiny, got recipe: expect"):
        promote(store, "tiny", 2, actor="ada", compare=by_name)

    done = promote(store, "tiny", 2, actor="ada", compare=by_name, force=True, because="moved")
    assert done.changed
    assert done.decision
    assert done.decision.outcome == "forced"


def test_versions_without_common_rows_are_not_evaluated(trained: Workplace) -> None:
    newer = replace(tiny.binary(), load=lambda: tiny.people(400, seed=9))
    ask(trained, newer, version=1)
    with pytest.raises(GateRefused, match=r"at least 30 rows that versions 2 and 1 both .* got 0"):
        ask(trained, newer, version=2)
    assert attempts(trained) == []


def test_production_that_moves_during_the_comparison_is_not_overwritten(trained: Workplace) -> None:
    store = trained.store
    promote(store, "tiny", 1, actor="ada")

    def slow(_challenger: int, _production: int) -> Comparison:
        promote(store, "tiny", 2, actor="bob")
        return Comparison(())

    with pytest.raises(
        PlatformError, match="moved during the comparison, from version 1 to version 2"
    ):
        promote(store, "tiny", 3, actor="ada", compare=slow)
    assert reconcile(store, "tiny") == 2


def test_comparisons_at_once_are_counted_each_once(trained: Workplace) -> None:
    manifest = fetch_manifest(trained.store, "tiny", 1)
    production = ModelVersion(1, manifest, "p" * 64, trained.root)
    gate = threading.Barrier(6)

    def count(number_: int) -> int:
        challenger = ModelVersion(number_, manifest, f"{number_:064d}"[::-1], trained.root)
        gate.wait()
        return count_attempt(trained.store, "e" * 64, challenger, production)

    with ThreadPoolExecutor(6) as pool:
        counted = list(pool.map(count, range(6)))
    assert sorted(counted) == [1, 2, 3, 4, 5, 6]


def test_a_slow_model_that_breaks_its_clients_is_refused_for_both(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = workplace.store
    train_recipe(WEAK, store)
    ask(workplace)
    forest = replace(
        RECIPE,
        schema=tiny.WHOLE,
        load=lambda: tiny.people(PEOPLE).fillna({"income": 4e4}),
        estimator=lambda: RandomForestClassifier(150, min_samples_leaf=5),
        latency_factor=2.0,
    )
    train_recipe(forest, store)
    monkeypatch.setattr(checks, "NEGLIGIBLE_LATENCY_MS", 0.0)
    with pytest.raises(GateRefused, match=r"latency of 100 rows: expected at most .* ms, got"):
        ask(workplace, forest)

    # The forest cannot take gaps, which clients of production may send.
    (decision,) = decisions(workplace, 2)
    assert {"schema.income.nullable", "latency of 100 rows"} <= {
        check.path for check in decision.checks if check.refuses
    }


def test_a_rollback_needs_no_gate(trained: Workplace) -> None:
    promote(trained.store, "tiny", 1, actor="ada")
    promote(trained.store, "tiny", 2, actor="ada")
    lost(trained)

    assert rollback(trained.store, "tiny", actor="ada").decision is None
    assert reconcile(trained.store, "tiny") == 1


def test_the_command_compares_too(workplace: Workplace) -> None:
    from slipway.commands.promote import promote_version

    for _ in range(2):
        train_recipe(load_recipe("iris"), workplace.store)
    promote_version("iris", 1, because="")
    with pytest.raises(
        GateRefused, match=r"accuracy: \S+ is not significantly better .* on 38 rows"
    ):
        promote_version("iris", None, because="")
    forced = promote_version("iris", None, because="to see", force=True)

    assert forced.decision
    assert forced.decision.by
    assert forced.sentence == "iris version 2 is production (before: version 1)"


def test_a_version_of_somebody_else_is_not_evaluated(trained: Workplace) -> None:
    trained.store.versions.delete_tag("tiny", 1, "slipway.digest")
    with pytest.raises(NotRegistered, match="made by slipway train"):
        compare_versions(trained.store, trained.layout, tiny.binary(), 1, 2)
