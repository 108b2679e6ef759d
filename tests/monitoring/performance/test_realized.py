"""Realized performance is joined exactly, and judged only when labels are due."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from contracts.names import Layout
from monitoring.labels.store import hash_ids, read_labels
from tests.monitoring.labels.scenario import SPAN, judged, write_labelled_day


def msgspec_series(word: str) -> Any:
    import polars as pl

    return pl.Series([word])


def test_realized_performance_is_sklearns_on_the_rows_of_the_version(tmp_path: Path) -> None:
    layout, (scores, truths) = write_labelled_day(tmp_path, 3_000)
    found = judged(layout)
    mine = np.arange(3_000) % 5 != 4
    metrics = {m.metric: m for m in found.metrics}

    assert (found.status, found.labels, found.coverage) == ("judged", 2_400, 1.0)
    assert metrics["roc_auc"].value == pytest.approx(roc_auc_score(truths[mine], scores[mine]))
    assert metrics["accuracy"].value == pytest.approx(
        accuracy_score(truths[mine], scores[mine] >= 0.5)
    )
    assert not any(m.worse for m in found.metrics)
    assert [(g.version, g.variant, g.labels) for g in found.groups] == [
        (1, "production", 2_400),
        (2, "shadow", 600),
    ]


def test_a_model_that_has_become_worse_is_reported_and_one_that_has_not_is_not(
    tmp_path: Path,
) -> None:
    layout, _ = write_labelled_day(tmp_path, 3_000, flipped=0.3)

    assert {m.metric for m in judged(layout).metrics if m.worse} == {"roc_auc", "accuracy"}


def test_rows_of_one_user_are_not_independent_labels(tmp_path: Path) -> None:
    """The error of accuracy is that of the users' sums, by the bootstrap of whole users."""
    layout, (scores, truths) = write_labelled_day(tmp_path, 3_000, n_users=50)
    mine = np.flatnonzero(np.arange(3_000) % 5 != 4)
    right = (truths[mine] == (scores[mine] >= 0.5)).astype(float)
    by_user = np.array([right[mine * 50 // 3_000 == user].sum() for user in range(50)])
    rng = np.random.default_rng(1)
    drawn = [by_user[rng.integers(0, 50, 50)].sum() / len(mine) for _ in range(2_000)]
    found = {m.metric: m for m in judged(layout).metrics}["accuracy"]

    assert found.value == pytest.approx(right.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.1)
    assert found.high - found.low > 1.5 * 2 * 1.96 * np.sqrt(np.var(right) / len(right))


def test_a_window_is_judged_when_its_labels_are_due_and_not_before(tmp_path: Path) -> None:
    layout, _ = write_labelled_day(tmp_path, 1_000)
    early = judged(layout, now=SPAN.end + timedelta(hours=23))
    on_time = judged(layout, now=SPAN.end + timedelta(hours=24))

    assert on_time.status == "judged"
    assert on_time.start == "2026-01-31T00:00:00.000000Z"
    # One hour is not due: the window that ended a delay ago is judged in its place.
    assert early.start == "2026-01-30T23:00:00.000000Z"
    assert early.labels < on_time.labels
    assert judged(layout, now=SPAN.end - timedelta(days=2)).status == "immature"


def test_the_last_label_counts_and_orphans_and_unusable_labels_are_counted(tmp_path: Path) -> None:
    layout, _ = write_labelled_day(tmp_path, 1_000)
    rows = [
        {"prediction_id": "id-1", "truth": "yes", "time": "2026-02-01T09:00:00.000000Z"},
        {"prediction_id": "id-1", "truth": "no", "time": "2026-02-01T08:00:00.000000Z"},
        {"prediction_id": "nobody", "truth": "no", "time": "2026-02-01T08:00:00.000000Z"},
        {"prediction_id": "id-2", "truth": "perhaps", "time": "2026-02-01T08:00:00.000000Z"},
    ]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    (layout.labels("loan") / "z.jsonl").write_bytes(lines + b'{"prediction_id": "to')
    found = judged(layout)
    read = read_labels(layout, "loan", ("no", "yes"))
    place_of_one = np.searchsorted(read.id_hashes, hash_ids(msgspec_series("id-1"))[0])

    assert (found.replaced, found.orphans, found.unusable, found.torn_lines) == (3, 1, 1, 1)
    assert found.labels == 799
    assert read.targets[place_of_one] == 1.0


def test_without_labels_there_is_no_number(tmp_path: Path) -> None:
    layout, _ = write_labelled_day(tmp_path, 60)

    assert judged(layout).status == "too_few_labels"
    assert judged(Layout(tmp_path / "elsewhere")).status == "no_labels"
