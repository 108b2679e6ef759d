"""A decision is the same for one row and for many, in training, service and monitoring."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.decision_rule import DecisionRule
from contracts.manifest import Manifest, Task
from tests.contracts.test_documents import GOLDEN

tasks: st.SearchStrategy[Task] = st.sampled_from(["binary", "multiclass", "regression"])
tenths = st.integers(0, 10).map(lambda tenth: tenth / 10)
"""Few different scores, so that ties and scores at the threshold are common."""


@given(tasks, tenths, st.integers(1, 8), st.data())
def test_lists_are_decided_as_a_matrix_is(
    task: Task, threshold: float, n_rows: int, data: st.DataObject
) -> None:
    n_outputs = 2 if task == "binary" else data.draw(st.integers(1, 4))
    row = st.lists(tenths, min_size=n_outputs, max_size=n_outputs)
    rows = data.draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    rule = DecisionRule(task, threshold)
    decided = rule.class_index_list(rows)
    monitored = [each[rule.monitored_index(i)] for each, i in zip(rows, decided, strict=True)]

    assert rule.class_indices(np.array(rows)).tolist() == decided
    assert rule.monitored_scores(np.array(rows)).tolist() == monitored


def test_the_rule_of_a_manifest_has_its_task_and_threshold() -> None:
    manifest = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())
    at_a_third = msgspec.structs.replace(manifest, task="binary", threshold=1 / 3)
    without = msgspec.structs.replace(manifest, task="multiclass", threshold=None)

    assert DecisionRule.of(at_a_third) == DecisionRule("binary", 1 / 3)
    assert DecisionRule.of(without) == DecisionRule("multiclass", 0.5)


@pytest.mark.parametrize(("task", "expected"), [("binary", 0.7), ("multiclass", 0.7)])
def test_the_monitored_score_is_a_probability_of_a_classifier(task: Task, expected: float) -> None:
    assert DecisionRule(task).monitored_scores(np.array([[0.3, 0.7]])).tolist() == [expected]


def test_the_monitored_score_of_a_regression_is_its_first_value() -> None:
    assert DecisionRule("regression").monitored_scores(np.array([[-3.0, 7.0]])).tolist() == [-3.0]
