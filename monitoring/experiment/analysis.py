"""The story of an A/B analysis: who was in it, was it fair, what came of it, is it enough."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from contracts.errors import NotFoundHere
from contracts.experiment import (
    Effect,
    Experiment,
    ExperimentOutcome,
    Look,
    RatioCheck,
    VariantResult,
)
from contracts.manifest import Manifest
from contracts.names import Layout, window_id
from contracts.times import utc_text
from contracts.verdict import Window
from metrics.interval import Z95
from monitoring.baseline import Baseline
from monitoring.experiment.effect import (
    ALPHA,
    FEWEST_UNITS,
    METRICS,
    OF_TASK,
    Answered,
    difference,
    level,
    p_value,
    sequence,
)
from monitoring.experiment.rows import CHALLENGER, PRODUCTION, Rows, read_rows
from monitoring.experiment.sample_ratio import mixed_units, ratio_check
from monitoring.labels.store import Labels, read_labels
from monitoring.traffic.window import ReadStats, TimeWindow
from monitoring.verdicts.summary import METRICS as METRIC_WORDS

LOOKS = 30
PLANNED_UNITS = 10_000


@dataclass(frozen=True)
class Plan:
    """What was fixed before the experiment began.

    `metric` is empty for that of the recipe's first gate. `planned_units` are the labelled
    units at which an answer is wanted. `weight` is the challenger's share where the log has
    none (another router divided), NaN if it is not known.
    """

    span: TimeWindow
    metric: str = ""
    planned_units: int = PLANNED_UNITS
    weight: float = float("nan")


@dataclass(frozen=True)
class _Trial:
    """The rows of the experiment itself, numbered by the weight that was in force."""

    rows: Rows
    strata: NDArray[np.int64]
    weights: NDArray[np.float64]
    production: int | None
    challenger: int | None


def analyse(layout: Layout, baseline: Baseline, plan: Plan, *, now: datetime) -> Experiment:
    """What the log and the labels say of the newest challenger of a window; nothing is written.

    Raises:
        NotFoundHere: the metric is none that can be had for the task.
        InvalidDocument: a compacted file of labels cannot be read.

    """
    manifest, met = baseline.manifest, ReadStats()
    metric = metric_of(manifest, plan.metric)
    known = _labels(layout, manifest)
    rows = read_rows(layout, manifest, plan.span, known, met)
    trial = _trial(rows, plan)
    due = min(plan.span.end, now - timedelta(seconds=manifest.label_delay_s))
    mature = trial.rows.times < int(due.timestamp() * 1e6)
    labelled = mature & np.isfinite(trial.rows.truths)
    answered = trial.rows.where(labelled).answered(trial.strata[labelled])
    effect = _effect(answered, metric, plan)
    ratio = ratio_check(trial.rows.units, trial.rows.assigned, trial.strata, trial.weights)
    labelled_ratio = ratio_check(answered.units, answered.treated, answered.strata, trial.weights)
    outcome, why = _outcome(trial, answered, effect, (ratio, labelled_ratio), due)
    span, name = plan.span, baseline.name
    return Experiment(
        experiment_id=window_id(name, trial.challenger or 0, span.start, span.end),
        model=name,
        production_version=trial.production,
        challenger_version=trial.challenger,
        made_at=utc_text(now),
        window=Window(
            start=utc_text(span.start),
            end=utc_text(span.end),
            rows=len(rows),
            files=met.files,
            torn_lines=met.torn_lines,
        ),
        started_at=_moment(trial.rows.times[0]) if len(trial.rows) else "",
        mature_until=utc_text(due),
        outcome=outcome,
        sentence=f"{_title(name, trial)}: {why}.",
        ratio=ratio,
        labelled_ratio=labelled_ratio,
        results=tuple(_results(rows, metric, due)),
        effect=effect,
        looks=tuple(_looks(trial.rows.where(labelled), answered, metric, plan)),
        rows=len(trial.rows),
        units=len(np.unique(trial.rows.units)),
        immature=int((~mature).sum()),
        unlabelled=int((mature & ~labelled).sum()),
        other=len(rows) - len(trial.rows),
        mixed_units=mixed_units(trial.rows.units, trial.rows.assigned, trial.strata),
        notes=tuple(_notes(trial, answered, effect, met)),
    )


def metric_of(manifest: Manifest, wished: str) -> str:
    """The metric that is compared: the one that is wished, else that of the first gate.

    Raises:
        NotFoundHere: it cannot be had for the model's task.

    """
    known = OF_TASK[manifest.task]
    if not wished:
        return next((g.metric for g in manifest.gates if g.metric in known), known[0])
    if wished not in known:
        raise NotFoundHere(
            f"--metric: expected one of a {manifest.task} model, got {wished!r}",
            remedy=f"one of {', '.join(known)}",
        )
    return wished


def _labels(layout: Layout, manifest: Manifest) -> Labels | None:
    if not layout.labels(manifest.name).is_dir():
        return None
    return read_labels(layout, manifest.name, manifest.classes)


def _trial(rows: Rows, plan: Plan) -> _Trial:
    """The rows in which units were divided between the two newest versions, and no others.

    Rows of before are another experiment, or none: production alone has lived through other
    times, and cannot be compared with.
    """
    versions = {variant: _newest(rows, variant) for variant in (PRODUCTION, CHALLENGER)}
    arms = {variant: rows.group(version, variant) for variant, version in versions.items()}
    mine = arms[PRODUCTION] | arms[CHALLENGER]
    weights = rows.weights
    if np.isfinite(weights).any():
        # Rows without a weight were not divided, nor those that all go to one side.
        divided = (weights > 0) & (weights < 1)
        strangers = rows.times[divided & ~mine]
        mine &= divided & (rows.times > strangers.max(initial=-1))
    else:
        weights = np.full(len(rows), plan.weight)
        firsts = [rows.times[arm][:1] for arm in arms.values()]
        mine &= rows.times >= np.concatenate(firsts).max(initial=0)
    if not all((arm & mine).any() for arm in arms.values()):
        mine = np.zeros(len(rows), dtype=bool)
    kept = rows.where(mine)
    found, strata = np.unique(weights[mine], return_inverse=True)
    return _Trial(kept, strata, found, versions[PRODUCTION], versions[CHALLENGER])


def _newest(rows: Rows, variant: str) -> int | None:
    """The version that answered last as a variant."""
    places = [i for i, (_, known) in enumerate(rows.pairs) if known == variant]
    mine = np.flatnonzero(np.isin(rows.groups, places))
    return rows.pairs[rows.groups[mine[-1]]][0] if len(mine) else None


def _effect(answered: Answered, metric: str, plan: Plan) -> Effect | None:
    found = difference(answered, metric) if len(answered) else None
    if found is None:
        return None
    low, high = sequence(found, plan.planned_units)
    return Effect(
        metric=metric,
        greater_is_better=METRICS[metric][1],
        difference=found.value,
        standard_error=found.error,
        low=low,
        high=high,
        p_value=p_value(found, plan.planned_units),
        alpha=ALPHA,
        units=found.units,
        labels=found.rows,
        planned_units=plan.planned_units,
    )


def _fewest(answered: Answered) -> int:
    """Labelled units of the variant that has fewer."""
    arms = (answered.units[answered.treated], answered.units[~answered.treated])
    return min(len(np.unique(arm)) for arm in arms)


def _outcome(
    trial: _Trial,
    answered: Answered,
    effect: Effect | None,
    ratios: tuple[RatioCheck, RatioCheck],
    due: datetime,
) -> tuple[ExperimentOutcome, str]:
    """What it comes to, and why in words."""
    if not len(trial.rows):
        return "undecided", "no decision yet: no traffic was divided between the two"
    for ratio, words in zip(ratios, ("units came", "labels came to units"), strict=True):
        if ratio.failed:
            return "invalid", (
                f"not valid: {words} to the variants in another ratio than the weights say "
                f"(chi-square {ratio.chi_square:.1f}, p {ratio.p_value:.1e})"
            )
    if not len(answered):
        late = f"labels are due for answers before {utc_text(due)[:16]}"
        return "undecided", f"no decision yet: no labels of the experiment; {late}"
    fewest = _fewest(answered)
    if fewest < FEWEST_UNITS or effect is None:
        need = f"{FEWEST_UNITS} labelled units of each, and rows of each class"
        return "undecided", f"no decision yet: {fewest} labelled units of one, expected {need}"
    name = METRIC_WORDS.get(effect.metric, effect.metric)
    told = (
        f"{name} {effect.difference:+.4g} ({effect.low:+.4g} to {effect.high:+.4g} at every "
        f"look), {effect.labels:,} labels of {effect.units:,} units"
    )
    if effect.low <= 0 <= effect.high:
        return "undecided", f"no decision yet: {told}"
    better = (effect.difference > 0) == effect.greater_is_better
    return ("better" if better else "worse"), f"{'better' if better else 'worse'}: {told}"


def _title(name: str, trial: _Trial) -> str:
    if trial.challenger is None or trial.production is None:
        return f"{name}, no challenger" if trial.challenger is None else f"{name}, no production"
    return f"{name} challenger version {trial.challenger} against version {trial.production}"


def _results(rows: Rows, metric: str, due: datetime) -> Iterator[VariantResult]:
    """Each version and variant of the window, the experiment's or not."""
    mature = rows.times < int(due.timestamp() * 1e6)
    for version, variant in sorted(rows.pairs):
        mine = rows.where(mature & rows.group(version, variant))
        labelled = mine.where(np.isfinite(mine.truths))
        found = level(labelled.answered(np.zeros(len(labelled), dtype=np.int64)), metric)
        known = np.isfinite(found.value)
        half = Z95 * found.error
        yield VariantResult(
            version=version,
            variant=variant,
            rows=len(mine),
            units=len(np.unique(mine.units)),
            labels=len(labelled),
            value=found.value if known else None,
            low=found.value - half if known else None,
            high=found.value + half if known else None,
        )


def _looks(rows: Rows, answered: Answered, metric: str, plan: Plan) -> Iterator[Look]:
    """How the difference would have looked at equal steps of time."""
    if not len(rows):
        return
    first, last = int(rows.times[0]), int(rows.times[-1])
    for end in np.linspace(first, last + 1, LOOKS + 1)[1:]:
        until = answered.where(rows.times < end)
        found = difference(until, metric)
        if found is None or _fewest(until) < FEWEST_UNITS:
            continue
        low, high = sequence(found, plan.planned_units)
        yield Look(
            time=_moment(int(end)),
            units=found.units,
            difference=found.value,
            low=low,
            high=high,
        )


def _moment(microseconds: int) -> str:
    return utc_text(datetime.fromtimestamp(int(microseconds) / 1e6, UTC))


def _notes(
    trial: _Trial, answered: Answered, effect: Effect | None, met: ReadStats
) -> Iterator[str]:
    """What a reader must know to trust the numbers."""
    rows = trial.rows
    if len(rows) and not np.isfinite(trial.weights).any():
        yield "The log names no weight, so the ratio of the units cannot be checked: --weight."
    if len(rows) and len(np.unique(rows.units)) == len(rows):
        yield (
            "Each unit has one row: nobody sent a user id, so a person who comes again may "
            "meet both variants, and counts as another."
        )
    fallen = int((rows.assigned & rows.group(trial.production, PRODUCTION)).sum())
    if fallen:
        yield (
            f"{fallen:,} requests of the challenger's units were answered by production, since "
            "the challenger failed; they count as the challenger's (intention to treat)."
        )
    if effect is not None and effect.labels < len(answered):
        left = len(answered) - effect.labels
        yield f"{left:,} labels of weights under which one variant has too few are left out."
    yield from (f"could not be read: {path}" for path in met.torn_files)
