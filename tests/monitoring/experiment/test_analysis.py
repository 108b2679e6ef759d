"""What an experiment comes to, from the log and the labels."""

from datetime import timedelta

import numpy as np
import pytest
from sklearn import metrics as sk

from contracts.errors import NotFoundHere
from contracts.names import Layout
from monitoring.experiment.effect import (
    estimate_difference,
)
from monitoring.experiment.page import experiment_html
from tests.monitoring.experiment.scenario import (
    START,
    UNITS,
    analyse,
    draw_rows,
    traffic_lines,
    write_labels,
    write_log,
)


def test_a_better_challenger_is_reported_with_the_numbers_of_sklearn(layout: Layout) -> None:
    rows = draw_rows(gain=0.5)
    write_log(layout, traffic_lines(rows))
    write_labels(layout, rows)
    found = analyse(layout)
    auc = {
        treated: sk.roc_auc_score(rows.targets[mine], rows.scores[mine])
        for treated in (True, False)
        if (mine := rows.treated == treated).any()
    }

    assert found.outcome == "better", found.sentence
    assert found.effect is not None
    assert found.effect.difference == pytest.approx(auc[True] - auc[False])
    assert found.effect.low > 0
    assert found.effect.p_value < 0.05
    by_variant = {r.variant: r for r in found.results}
    assert by_variant["challenger"].value == pytest.approx(auc[True])
    assert (by_variant["challenger"].version, by_variant["production"].version) == (8, 7)
    assert sum(r.labels for r in found.results) == found.effect.labels == len(rows)
    assert found.units == UNITS
    assert not found.ratio.failed
    assert found.looks[-1].difference == pytest.approx(found.effect.difference)


def test_a_worse_challenger_is_reported(layout: Layout) -> None:
    rows = draw_rows(gain=-0.5)
    write_log(layout, traffic_lines(rows))
    write_labels(layout, rows)

    assert analyse(layout).outcome == "worse"
    assert analyse(layout, metric="brier").outcome == "worse"


def test_no_difference_is_no_decision(layout: Layout) -> None:
    rows = draw_rows()
    write_log(layout, traffic_lines(rows))
    write_labels(layout, rows)
    found = analyse(layout)

    assert found.outcome == "undecided"
    assert "no decision yet: AUC" in found.sentence


def test_lost_units_make_it_invalid_however_good_it_looks(layout: Layout) -> None:
    rows = draw_rows(gain=0.5)
    lost = rows.treated & (rows.units % 5 == 0)
    write_log(layout, [r for r, gone in zip(traffic_lines(rows), lost, strict=True) if not gone])
    write_labels(layout, rows)
    found = analyse(layout)

    assert found.outcome == "invalid"
    assert found.ratio.failed
    assert "not valid: units were not split as configured" in found.sentence
    assert "Trust no number below" in experiment_html(found)


def test_labels_that_come_for_one_variant_only_make_it_invalid(layout: Layout) -> None:
    rows = draw_rows(gain=0.5)
    write_log(layout, traffic_lines(rows))
    write_labels(layout, rows, skip=list(rows.treated & (rows.units % 5 == 0)))
    found = analyse(layout)

    assert (found.outcome, found.ratio.failed) == ("invalid", False)
    assert "units with a label were not split" in found.sentence
    assert found.unlabelled > 0


def test_labels_that_are_not_due_are_waited_for(layout: Layout) -> None:
    rows = draw_rows(gain=0.5)
    write_log(layout, traffic_lines(rows))
    write_labels(layout, rows)
    late = {"label_delay_s": 86400.0 * 30}
    none = analyse(layout, manifest=late)
    half = analyse(layout, now=START + timedelta(days=35), manifest=late)

    assert (none.outcome, none.effect, none.immature) == ("undecided", None, len(rows))
    assert "those of predictions before" in none.sentence
    assert half.immature == pytest.approx(len(rows) / 2, abs=2)
    assert half.effect is not None
    assert half.effect.labels == len(rows) - half.immature


def test_what_is_no_part_of_the_experiment_is_left_out_and_counted(layout: Layout) -> None:
    rows = draw_rows()
    lines = traffic_lines(rows)
    early = [
        # Production alone, an older challenger, and a share of everything.
        lines[0] | {"prediction_id": "a", "time": "2026-02-27T00:00:00.000000Z", "weight": None},
        lines[0] | {"prediction_id": "b", "time": "2026-02-27T01:00:00.000000Z"},
        lines[0]
        | {"prediction_id": "c", "time": "2026-02-27T02:00:00.000000Z"}
        | {"version": 5, "variant": "challenger", "assigned": "challenger"},
        lines[-1] | {"prediction_id": "d", "weight": 1.0},
    ]
    write_log(layout, [*lines, *early])
    write_labels(layout, rows)
    found = analyse(layout)

    assert found.window.rows == len(rows) + 4
    assert (found.other, found.rows) == (4, len(rows))
    assert (found.production_version, found.challenger_version) == (7, 8)
    assert (5, "challenger") in {(r.version, r.variant) for r in found.results}


def test_what_production_answered_for_the_challenger_counts_as_the_challengers(
    layout: Layout,
) -> None:
    rows = draw_rows()
    fallen = np.flatnonzero(rows.treated)[:50]
    lines = traffic_lines(rows)
    for i in fallen:
        lines[i] |= {"version": 7, "variant": "production"}
    write_log(layout, lines)
    write_labels(layout, rows)
    found = analyse(layout)

    expected = estimate_difference(rows, "roc_auc")
    assert expected is not None
    assert found.effect is not None
    assert found.effect.difference == pytest.approx(expected.value, abs=2e-3)
    assert not found.ratio.failed
    assert any("intention to treat" in note for note in found.notes)


def test_a_window_without_a_challenger_says_so(layout: Layout) -> None:
    assert "no traffic was split" in analyse(layout).sentence
    rows = draw_rows()
    alone = [line for line in traffic_lines(rows) if line["variant"] == "production"]
    write_log(layout, alone)
    write_labels(layout, rows)
    found = analyse(layout)

    assert found.outcome == "undecided"
    assert "no challenger" in found.sentence
    assert found.results[0].labels == len(alone)


def test_a_log_without_weights_needs_one_for_its_ratio(layout: Layout) -> None:
    rows = draw_rows(gain=0.5)
    lines = [
        {k: v for k, v in line.items() if k not in {"weight", "unit", "assigned"}}
        for line in traffic_lines(rows)
    ]
    write_log(layout, lines)
    write_labels(layout, rows)
    unknown, known = analyse(layout), analyse(layout, weight=0.5)

    assert not unknown.ratio.checked
    assert any("--weight" in note for note in unknown.notes)
    assert any("Each unit has one row" in note for note in unknown.notes)
    assert known.ratio.checked
    assert analyse(layout, weight=0.2).outcome == "invalid"


def test_few_units_decide_nothing(layout: Layout) -> None:
    rows = draw_rows(gain=3.0)
    few = rows.where(rows.units < 150)
    write_log(layout, traffic_lines(few))
    write_labels(layout, few)
    found = analyse(layout)

    assert found.outcome == "undecided"
    assert "expected 100 labelled units of each" in found.sentence


def test_a_metric_that_cannot_be_had_is_refused(layout: Layout) -> None:
    with pytest.raises(NotFoundHere, match="--metric: expected one of a binary model, got 'rmse'"):
        analyse(layout, metric="rmse")


def test_torn_lines_and_files_are_reported(layout: Layout) -> None:
    rows = draw_rows()
    write_log(layout, traffic_lines(rows))
    write_labels(layout, rows)
    folder = layout.traffic("tiny") / "2026-03-01"
    with (folder / "a.jsonl").open("ab") as file:
        file.write(b'{"prediction_id": "x", "ti')
    (folder / "compacted.json").write_text('{"files": ["gone.parquet"]}')
    found = analyse(layout)

    assert found.window.torn_lines == 1
    assert any("gone.parquet" in note for note in found.notes)
