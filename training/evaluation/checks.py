"""The gate's checks of a paired evaluation, from the metric to the size of the model."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from contracts.decision import Check, Subject
from metrics.alpha_spending import ALPHA, alpha_at_attempt
from training.evaluation.bootstrap import (
    Improvement,
    detectable_improvement,
    is_better,
    paired_improvement,
)
from training.evaluation.calibration import (
    CALIBRATION_TOLERANCE,
    calibration_errors,
    error_name,
)
from training.evaluation.latency import CALLS, latencies_ms
from training.evaluation.model_version import ModelVersion
from training.evaluation.paired_predictions import PairedEvaluation

MIN_SEGMENT_ROWS = 100
"""A segment with fewer rows is reported and does not decide."""
NEGLIGIBLE_LATENCY_MS = 1.0
"""A call this fast passes whatever the factor; for 100 rows, ten times as much."""


def metric_check(evaluation: PairedEvaluation, found: Improvement, attempt: int) -> Check:
    """Certainly better, and not certainly by less than the margin: ties do not promote."""
    margin = evaluation.recipe.margin
    alpha = alpha_at_attempt(attempt)
    passed = is_better(found, margin)
    ours = evaluation.value(evaluation.challenger)
    theirs = evaluation.value(evaluation.production)
    bar = f"significantly better than production's {theirs:.4g}"
    by_margin = f", possibly by {margin:g} or more" if margin else ""
    confidence = f"attempt {attempt}, {100 * (1 - alpha):.4g} % confidence"
    expected = f"{bar} ({confidence}){by_margin}"
    interval = f"{found.difference:+.4g} (between {found.low:+.4g} and {found.high:+.4g})"
    got = f"{ours:.4g}: {interval} on {len(evaluation.rows)} rows"
    verb = "is" if passed else "is not"
    sentence = f"{evaluation.metric}: {ours:.4g} {verb} {bar}{by_margin}: {interval} on "
    sentence += f"{len(evaluation.rows)} rows ({confidence})"
    if not found.standard_error:
        sentence += ", since both predict alike: a tie"
    elif not passed:
        least = detectable_improvement(found, alpha)
        sentence += f"; this exam detects an improvement of {least:.2g} in 80 of 100 cases"
    return _check("metric", evaluation.metric, expected, got, sentence, passed=passed)


def blind_check(evaluation: PairedEvaluation, detectable: float, sought: float) -> Check:
    """Refuses: the evaluation has too few rows to see what it must, so it decides nothing."""
    n_rows = len(evaluation.rows)
    expected = f"an improvement of {sought:.2g} in {evaluation.metric} to be detected"
    got = f"{detectable:.2g} in 80 of 100 cases on {n_rows} rows"
    needed = int(np.ceil(n_rows * (detectable / sought) ** 2))
    sentence = (
        f"exam: expected {expected}, got {got}; nothing is decided, and no attempt is counted: "
        f"about {needed:,} rows are needed"
    )
    return _check("exam", "exam", expected, got, sentence, passed=False)


def segment_checks(evaluation: PairedEvaluation) -> Iterator[Check]:
    """Not worse on any segment of the features that the recipe names.

    All segments must pass, so each is tested at 5 % (Berger 1982, intersection-union test).
    """
    for feature in evaluation.recipe.gate_segment_features:
        column = evaluation.rows[feature].astype("str").fillna("missing")
        for value in sorted(column.unique()):
            rows = (column == value).to_numpy(dtype=bool)
            yield _segment_check(evaluation, f"{feature}={value}", rows)


def _segment_check(evaluation: PairedEvaluation, segment: str, rows: NDArray[np.bool_]) -> Check:
    """The lower bound of the improvement on a segment must be above minus the tolerance."""
    recipe, n_rows = evaluation.recipe, int(rows.sum())
    expected = f"worse by less than {recipe.segment_tolerance:g}"
    target = evaluation.target[rows]
    path = f"slice.{segment}"
    if n_rows < MIN_SEGMENT_ROWS or (recipe.is_classifier and len(np.unique(target)) == 1):
        got = f"{n_rows} rows" + ("" if n_rows < MIN_SEGMENT_ROWS else " of one class")
        sentence = f"segment {segment}: {got}, too few for a decision"
        return _check("slice", path, expected, got, sentence, passed=True, judged=False)
    challenger, production = (
        predictions.take(rows) for predictions in (evaluation.challenger, evaluation.production)
    )
    found = paired_improvement(
        recipe.task,
        evaluation.metric,
        target,
        challenger,
        production,
        ALPHA,
        in_time_order=evaluation.in_time_order,
    )
    got = f"{found.difference:+.4g} (lower bound {found.low:+.4g}) on {n_rows} rows"
    sentence = f"segment {segment}: expected {evaluation.metric} {expected}, got {got}"
    passed = found.low > -recipe.segment_tolerance
    return _check("slice", path, expected, got, sentence, passed=passed)


def calibration_check(evaluation: PairedEvaluation) -> Check:
    """Refused only if it is certainly worse than the tolerance, which no recipe chose."""
    task = evaluation.recipe.task
    tolerance, name = CALIBRATION_TOLERANCE[task], error_name(task)
    kinds = {evaluation.challenger.kind, evaluation.production.kind}
    if kinds - {"probability", "value"}:
        got = " and ".join(sorted(f"{kind} scores" for kind in kinds))
        sentence = f"{name}: not judged, since only probabilities are calibrated, got {got}"
        return _check("calibration", name, "", got, sentence, passed=True, judged=False)
    found = calibration_errors(
        task, evaluation.target, evaluation.challenger, evaluation.production
    )
    worse_by = found.challenger - found.production
    expected = f"not significantly worse than {found.production:.3g} by more than {tolerance:g}"
    got = f"{found.challenger:.3g} ({worse_by:+.3g}, lower bound {found.worse_by_low:+.3g})"
    sentence = f"{name}: expected {expected}, got {got}"
    passed = not found.worse_by_low > tolerance
    return _check("calibration", name, expected, got, sentence, passed=passed)


def parity_check(challenger: ModelVersion) -> Check:
    """The golden requests, predicted here and now."""
    allowed = challenger.manifest.golden_tolerance
    difference = challenger.golden_difference()
    expected, got = f"at most {allowed:.0e}", f"{difference:.1e}"
    sentence = f"golden requests: expected a difference of {expected}, got {got}"
    passed = difference <= allowed
    return _check("parity", "golden requests", expected, got, sentence, passed=passed)


def latency_checks(
    evaluation: PairedEvaluation, challenger: ModelVersion, production: ModelVersion
) -> Iterator[Check]:
    """Both versions' latencies, for each number of rows per call in `CALLS`."""
    versions = {"challenger": challenger, "production": production}
    for n_rows, n_calls in CALLS.items():
        calls = {role: v.call_with(evaluation.rows, n_rows) for role, v in versions.items()}
        median_ms = latencies_ms(calls, n_calls)
        ours, theirs = median_ms["challenger"], median_ms["production"]
        negligible = NEGLIGIBLE_LATENCY_MS * (1 if n_rows == 1 else 10)
        limit = max(evaluation.recipe.latency_factor * theirs, negligible)
        expected = f"at most {limit:.3g} ms"
        got = f"{ours:.3g} ms (production {theirs:.3g} ms)"
        path = f"latency of {n_rows} row{'s' if n_rows > 1 else ''}"
        sentence = f"{path}: expected {expected}, got {got}"
        yield _check("latency", path, expected, got, sentence, passed=ours <= limit)


def size_check(challenger: ModelVersion, production: ModelVersion) -> Check:
    """The sizes of both models, which are reported and do not decide."""
    got = f"{challenger.size_bytes:,} bytes (production {production.size_bytes:,})"
    return _check(
        "size", challenger.scored_file, "", got, f"size: {got}", passed=True, judged=False
    )


def _check(
    subject: Subject,
    path: str,
    expected: str,
    got: str,
    sentence: str,
    *,
    passed: bool,
    judged: bool = True,
) -> Check:
    return Check(
        subject=subject,
        path=path,
        expected=expected,
        got=got,
        passed=passed,
        judged=judged,
        sentence=sentence,
    )
