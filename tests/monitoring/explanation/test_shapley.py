"""Contributions against the definition: every order, or every subset, by training's session."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from contracts.errors import InvalidData
from contracts.manifest import Manifest
from contracts.traffic import TrafficRecord
from monitoring.baseline import Baseline, find_baseline
from monitoring.explanation.shapley import exact, explain, sampled
from slipway.app import app
from tests import tiny
from tests.conftest import Workplace
from training.onnx_session import onnx_scores

ROWS = 12


def record(**changes: Any) -> TrafficRecord:
    defaults: dict[str, Any] = {
        "prediction_id": "p-1",
        "time": "2026-01-31T12:00:00.000000Z",
        "model": "tiny",
        "version": 1,
        "features": tiny.GOOD | {"age": 71, "lines": 9},
        "prediction": "yes",
        "score": 0.5,
        "scores": {"no": 0.5, "yes": 0.5},
    }
    return TrafficRecord(**(defaults | changes))


def baseline_of(place: Workplace, version: int = 1) -> Baseline:
    return find_baseline(place.store, place.layout, "tiny", version)


def by_every_subset(baseline: Baseline, row: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    """The formula as the papers have it, one subset and one feature after the other."""
    model = (baseline.directory / "model.onnx").read_bytes()
    schema = Manifest.read((baseline.directory / "manifest.json").read_bytes()).schema
    names = schema.names

    def value_of(coalition: frozenset[str]) -> float:
        mixed = [{n: (row if n in coalition else other)[n] for n in names} for other in rows]
        return float(onnx_scores(model, schema.matrix(mixed))[:, 1].astype(float).mean())

    subsets = [
        frozenset(s) for k in range(len(names) + 1) for s in itertools.combinations(names, k)
    ]
    values = {s: value_of(s) for s in subsets}
    found = {}
    for name in names:
        found[name] = sum(
            math.factorial(len(s)) * math.factorial(len(names) - len(s) - 1)
            / math.factorial(len(names)) * (values[s | {name}] - values[s])
            for s in subsets
            if name not in s
        )  # fmt: skip
    return found, values[frozenset()], values[frozenset(names)]


def reference_rows(baseline: Baseline, n: int) -> list[dict[str, Any]]:
    """The reference rows that are drawn, as a client would send them."""
    import polars as pl

    sample = pl.read_parquet(baseline.directory / "reference.parquet").sample(n, seed=0)
    rows = []
    for row in sample.select(tiny.SCHEMA.names).to_dicts():
        plain: dict[str, Any] = {k: None if v is None or pd.isna(v) else v for k, v in row.items()}
        rows.append(plain | {"owner": bool(plain["owner"]), "lines": int(plain["lines"])})
    return rows


def test_contributions_are_shapleys_formula_over_all_subsets(place: Workplace) -> None:
    baseline = baseline_of(place)
    asked = record()
    found = explain(place.layout, baseline, asked, rows=ROWS)
    expected, base, score = by_every_subset(
        baseline, dict(asked.features), reference_rows(baseline, ROWS)
    )

    assert found.method == "exact"
    assert found.reference_rows == ROWS
    assert found.scores == 2**6 * ROWS
    assert {c.feature: c.contribution for c in found.contributions} == pytest.approx(
        expected, abs=1e-7
    )
    assert (found.base, found.score) == pytest.approx((base, score), abs=1e-7)
    assert found.of == "probability of yes"
    sizes = [abs(c.contribution) for c in found.contributions]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("max_scores", [10**6, 3000])
def test_contributions_add_up_to_the_score_minus_the_base(
    place: Workplace, max_scores: int
) -> None:
    """Exactly, whether all subsets were taken or a sample of orders."""
    found = explain(
        place.layout, baseline_of(place), record(features=tiny.GOOD | {"income": None}),
        rows=50, max_scores=max_scores,
    )  # fmt: skip
    added = sum(c.contribution for c in found.contributions)

    assert found.method == ("exact" if max_scores > 3200 else "sampled")
    assert added == pytest.approx(found.score - found.base, abs=1e-9)


def test_sampled_contributions_are_within_their_stated_errors(place: Workplace) -> None:
    whole = explain(place.layout, baseline_of(place), record(), rows=40)
    drawn = explain(place.layout, baseline_of(place), record(), rows=40, max_scores=2500)
    exactly = {c.feature: c.contribution for c in whole.contributions}

    assert drawn.method == "sampled"
    for each in drawn.contributions:
        assert abs(each.contribution - exactly[each.feature]) <= 4.5 * each.error + 1e-6


def test_a_feature_that_the_model_ignores_contributes_nothing(place: Workplace) -> None:
    """Version 3 has no such feature at all; version 1 has one that is as in every row."""
    found = explain(place.layout, baseline_of(place, 3), record(version=3, features={
        k: v for k, v in tiny.GOOD.items() if k != "lines"
    }), rows=10)  # fmt: skip

    assert {c.feature for c in found.contributions} == set(tiny.GOOD) - {"lines"}


def test_a_row_that_the_version_does_not_answer_is_refused(place: Workplace) -> None:
    with pytest.raises(InvalidData, match="expected a row and reference rows that version 1"):
        explain(place.layout, baseline_of(place), record(features={"age": 3}))


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=6),
    st.lists(st.floats(-5, 5), min_size=6, max_size=6),
)
def test_a_linear_game_gives_each_feature_its_own_term(
    weights: list[float], pairs: list[float]
) -> None:
    """And an interaction of two is shared by halves: closed forms, for both methods."""
    n = len(weights)
    together = pairs[0] if n > 1 else 0.0

    def value_function(coalitions: np.ndarray[Any, Any]) -> Any:
        value = coalitions @ np.array(weights)
        return value + together * (coalitions[:, 0] & coalitions[:, 1]) if n > 1 else value

    expected = np.array(weights)
    expected[: min(n, 2)] += together / 2
    assert exact(value_function, n)[0] == pytest.approx(expected, abs=1e-9)
    values, errors, base = sampled(value_function, n, 8, np.random.default_rng(0))
    # In an order and its reverse, each of two features is first once: the halves are exact.
    assert values == pytest.approx(expected, abs=1e-9)
    assert errors == pytest.approx(np.zeros(n), abs=1e-9)
    assert base == 0


def test_the_command_shows_the_contributions_and_the_lineage(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.root)
    path = Path("var/traffic/tiny/2026-01-31/a.jsonl")
    path.parent.mkdir(parents=True)
    path.write_bytes(record().write() + b"\n")
    try:
        people = CliRunner().invoke(app, ["explain", "p-1", "--contributions"])
        scripts = CliRunner().invoke(app, ["explain", "p-1", "--contributions", "--json"])
    finally:
        path.unlink()

    assert people.exit_code == 0, people.output
    for word in ("production", "ada", "certificate", "Contributions", "reference rows"):
        assert word in people.output
    story = json.loads(scripts.output)
    assert story["prediction"]["features"]["age"] == 71
    assert {c["feature"] for c in story["contributions"]["contributions"]} == set(tiny.GOOD)
    assert all(check["passed"] for check in story["lineage"]["checks"])
