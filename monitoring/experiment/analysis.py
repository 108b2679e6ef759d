"""The analysis of an A/B experiment: was it fair, who is better, and is that enough to decide."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from contracts.errors import NotFoundHere
from contracts.experiment import Effect, Experiment, Look, VariantResult
from contracts.manifest import Manifest
from contracts.names import Layout, window_id
from contracts.times import utc_text
from metrics.interval import Z95
from monitoring.baseline import Baseline
from monitoring.experiment.effect import (
    EXPERIMENT_METRICS,
    METRICS_OF_TASK,
    MIN_EVENTS,
    MIN_UNITS,
    SEQUENCE_ALPHA,
    TrialRows,
    always_valid_p_value,
    confidence_sequence,
    estimate_difference,
    estimate_metric,
)
from monitoring.experiment.outcome import experiment_notes, experiment_outcome, min_units
from monitoring.experiment.rows import ExperimentRows, read_rows
from monitoring.experiment.sample_ratio import mixed_units, ratio_check
from monitoring.experiment.trial import select_trial
from monitoring.labels.store import Labels, read_labels
from monitoring.traffic.window import ReadStats, TimeWindow, window_read

N_LOOKS = 30
PLANNED_UNITS = 10_000


@dataclass(frozen=True)
class ExperimentPlan:
    """What was fixed before the experiment began.

    `metric` is empty for that of the recipe's first gate. `planned_units` are the labelled
    units at which an answer is wanted. `weight` is the challenger's share where the log has
    none (another router did the split), NaN if it is not known.
    """

    window: TimeWindow
    metric: str = ""
    planned_units: int = PLANNED_UNITS
    weight: float = float("nan")


def analyse_experiment(
    layout: Layout, baseline: Baseline, plan: ExperimentPlan, *, now: datetime
) -> Experiment:
    """What the log and the labels say of a window's newest challenger; nothing is written.

    Raises:
        NotFoundHere: the metric is not defined for the model's task.
        InvalidDocument: a compacted file of labels cannot be read.

    """
    manifest, stats, name = baseline.manifest, ReadStats(), baseline.name
    metric = experiment_metric(manifest, plan.metric)
    rows = read_rows(layout, manifest, plan.window, _labels(layout, manifest), stats)
    trial = select_trial(rows, plan.weight)
    due = min(plan.window.end, now - timedelta(seconds=manifest.label_delay_s))
    mature = trial.rows.times < int(due.timestamp() * 1e6)
    has_label = mature & np.isfinite(trial.rows.targets)
    labelled = trial.rows.where(has_label).with_strata(trial.strata[has_label])
    effect = _effect(labelled, metric, plan)
    ratio = ratio_check(trial.rows.units, trial.rows.assigned, trial.strata, trial.weights)
    labelled_ratio = ratio_check(labelled.units, labelled.treated, labelled.strata, trial.weights)
    outcome, reason = experiment_outcome(trial, labelled, effect, ratio, labelled_ratio, due)
    start, end = plan.window.start, plan.window.end
    return Experiment(
        experiment_id=window_id(name, trial.challenger or 0, start, end),
        model=name,
        production_version=trial.production,
        challenger_version=trial.challenger,
        made_at=utc_text(now),
        window=window_read(plan.window, len(rows), stats),
        started_at=_time_text(trial.rows.times[0]) if len(trial.rows) else "",
        mature_until=utc_text(due),
        outcome=outcome,
        sentence=f"{trial.title(name)}: {reason}.",
        ratio=ratio,
        labelled_ratio=labelled_ratio,
        results=tuple(_results(rows, metric, due)),
        effect=effect,
        looks=tuple(_looks(trial.rows.where(has_label), labelled, metric, plan)),
        rows=len(trial.rows),
        units=len(np.unique(trial.rows.units)),
        immature=int((~mature).sum()),
        unlabelled=int((mature & ~has_label).sum()),
        other=len(rows) - len(trial.rows),
        mixed_units=mixed_units(trial.rows.units, trial.rows.assigned, trial.strata),
        notes=tuple(experiment_notes(trial, labelled, effect, stats.torn_files)),
    )


def experiment_metric(manifest: Manifest, name: str) -> str:
    """The metric of that name, or that of the first gate if the name is empty.

    Raises:
        NotFoundHere: it is not defined for the model's task.

    """
    known = METRICS_OF_TASK[manifest.task]
    if not name:
        return next((g.metric for g in manifest.gates if g.metric in known), known[0])
    if name not in known:
        raise NotFoundHere(
            f"--metric: expected one of a {manifest.task} model, got {name!r}",
            remedy=f"one of {', '.join(known)}",
        )
    return name


def _labels(layout: Layout, manifest: Manifest) -> Labels | None:
    if not layout.labels(manifest.name).is_dir():
        return None
    return read_labels(layout, manifest.name, manifest.classes)


def _effect(labelled: TrialRows, metric: str, plan: ExperimentPlan) -> Effect | None:
    found = estimate_difference(labelled, metric) if len(labelled) else None
    if found is None:
        return None
    low, high = confidence_sequence(found, plan.planned_units)
    return Effect(
        metric=metric,
        greater_is_better=EXPERIMENT_METRICS[metric].greater_is_better,
        difference=found.value,
        standard_error=found.standard_error,
        low=low,
        high=high,
        p_value=always_valid_p_value(found, plan.planned_units),
        alpha=SEQUENCE_ALPHA,
        units=found.units,
        labels=found.rows,
        planned_units=plan.planned_units,
        events=found.events,
    )


def _results(rows: ExperimentRows, metric: str, due: datetime) -> Iterator[VariantResult]:
    """Each version and variant of the window, whether in the experiment or not."""
    mature = rows.times < int(due.timestamp() * 1e6)
    for version, variant in sorted(rows.groups):
        mine = rows.where(mature & rows.group(version, variant))
        labelled = mine.where(np.isfinite(mine.targets))
        found = estimate_metric(labelled.with_strata(np.zeros(len(labelled), np.int64)), metric)
        is_defined = np.isfinite(found.value)
        half = Z95 * found.standard_error
        yield VariantResult(
            version=version,
            variant=variant,
            rows=len(mine),
            units=len(np.unique(mine.units)),
            labels=len(labelled),
            value=found.value if is_defined else None,
            low=found.value - half if is_defined else None,
            high=found.value + half if is_defined else None,
        )


def _looks(
    rows: ExperimentRows, labelled: TrialRows, metric: str, plan: ExperimentPlan
) -> Iterator[Look]:
    """How the difference would have looked at equal steps of time."""
    if not len(rows):
        return
    first, last = int(rows.times[0]), int(rows.times[-1])
    for end in np.linspace(first, last + 1, N_LOOKS + 1)[1:]:
        until = labelled.where(rows.times < end)
        found = estimate_difference(until, metric)
        if found is None or min_units(until) < MIN_UNITS or found.events < MIN_EVENTS:
            continue
        low, high = confidence_sequence(found, plan.planned_units)
        yield Look(
            time=_time_text(int(end)),
            units=found.units,
            difference=found.value,
            low=low,
            high=high,
        )


def _time_text(microseconds: int) -> str:
    return utc_text(datetime.fromtimestamp(int(microseconds) / 1e6, UTC))
