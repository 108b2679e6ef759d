"""What an experiment comes to, and what a reader must know to trust it; in words."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from contracts.experiment import Effect, ExperimentOutcome, RatioCheck
from contracts.names import PRODUCTION
from contracts.times import utc_text
from monitoring.experiment.effect import MIN_EVENTS, MIN_UNITS, TrialRows
from monitoring.experiment.trial import ExperimentTrial
from monitoring.verdicts.summary import METRIC_NAMES


def experiment_outcome(
    trial: ExperimentTrial,
    labelled: TrialRows,
    effect: Effect | None,
    ratio: RatioCheck,
    labelled_ratio: RatioCheck,
    due: datetime,
) -> tuple[ExperimentOutcome, str]:
    """The outcome, and the reason for it in words.

    Args:
        trial: the rows of the experiment.
        labelled: those of them with a label that is due.
        effect: the difference between the variants, None if it is not defined.
        ratio: whether units were split as configured.
        labelled_ratio: whether units with a label were.
        due: the time before which the labels of predictions are due.

    """
    if not len(trial.rows):
        return "undecided", "no decision yet: no traffic was split between the two"
    for which, check in (("units", ratio), ("units with a label", labelled_ratio)):
        if check.failed:
            return "invalid", (
                f"not valid: {which} were not split as configured (sample ratio mismatch, "
                f"chi-square {check.chi_square:.1f}, p {check.p_value:.1e})"
            )
    if not len(labelled):
        until = utc_text(due)[:16]
        return (
            "undecided",
            f"no decision yet: no labels; those of predictions before {until} are due",
        )
    smallest = min_units(labelled)
    if smallest < MIN_UNITS or effect is None:
        return "undecided", (
            f"no decision yet: expected {MIN_UNITS} labelled units of each variant, and rows of "
            f"each class, got {smallest} units of one"
        )
    name = METRIC_NAMES.get(effect.metric, effect.metric)
    found = (
        f"{name} {effect.difference:+.4g} ({effect.low:+.4g} to {effect.high:+.4g} at every "
        f"look), {effect.labels:,} labels of {effect.units:,} units"
    )
    few = effect.events is not None and effect.events < MIN_EVENTS
    if few or effect.low <= 0 <= effect.high:
        rests_on = (
            f"the difference rests on {effect.events:.0f} events (errors, or rows that carry the "
            f"tail) in one variant, expected {MIN_EVENTS}; "
        )
        return "undecided", f"no decision yet: {rests_on if few else ''}{found}"
    is_better = (effect.difference > 0) == effect.greater_is_better
    return ("better" if is_better else "worse"), f"{'better' if is_better else 'worse'}: {found}"


def min_units(labelled: TrialRows) -> int:
    """Labelled units of the variant that has fewer."""
    arms = (labelled.units[labelled.treated], labelled.units[~labelled.treated])
    return min(len(np.unique(arm)) for arm in arms)


def experiment_notes(
    trial: ExperimentTrial, labelled: TrialRows, effect: Effect | None, torn_files: Sequence[str]
) -> Iterator[str]:
    """What a reader must know to trust the numbers."""
    rows = trial.rows
    if len(rows) and not np.isfinite(trial.weights).any():
        yield "The log has no weights, so the ratio of the units cannot be checked: --weight."
    if len(rows) and len(np.unique(rows.units)) == len(rows):
        yield (
            "Each unit has one row: no request had a user id, so a person who comes again may "
            "get both variants, and counts as two units."
        )
    fallbacks = int((rows.assigned & rows.group(trial.production, PRODUCTION)).sum())
    if fallbacks:
        yield (
            f"{fallbacks:,} requests of the challenger's units were answered by production, "
            "since the challenger failed; they count as the challenger's (intention to treat)."
        )
    if effect is not None and effect.labels < len(labelled):
        left_out = len(labelled) - effect.labels
        yield f"{left_out:,} labels are left out: under their weight one variant has too few."
    yield from (f"unreadable file: {path}" for path in torn_files)
