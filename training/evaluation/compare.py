"""Challenger and Production sit the same exam; what comes out is what the gate decides on."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.decision import Check, Evaluation, Subject
from contracts.errors import CorruptModel, InvalidData, InvalidRecipe, NotRegistered
from contracts.manifest import Manifest
from contracts.names import MODEL_DIRECTORY, MODEL_FILE, TAG_DIGEST, Layout
from registry.gate import Comparison, not_compared
from registry.model_directory import verify
from registry.store import Store
from training.dataset import rows_of
from training.evaluation.bootstrap import (
    ALPHA,
    RESAMPLES,
    Bounds,
    alpha_of,
    detectable,
    is_better,
    paired,
)
from training.evaluation.calibration import TOLERANCE as CALIBRATION_TOLERANCE
from training.evaluation.calibration import error_name, worsening
from training.evaluation.holdout import Sitter
from training.evaluation.latency import CALLS, latencies_ms
from training.evaluation.paired import SatExam, Sheet, golden_difference, sit
from training.onnx_session import OnnxSession
from training.recipe import Recipe, load_recipe

TAG_EXAM = "slipway.exam."
"""On a registered model, one tag a comparison: `<exam>.<challenger>-<production>`, its attempt."""
SMALLEST_SLICE = 100
"""Rows below which a slice is told and not judged."""
UNNOTICED_MS = 1.0
"""Nobody waits for a millisecond, whatever the factor; per call, per 100 rows ten of them."""
GOLDEN_MARGIN = 10.0
"""As in serving: another processor rounds otherwise, another model differs by far more."""


def compare(
    store: Store, layout: Layout, name: str, challenger: int, production: int
) -> Comparison:
    """Hold two versions of the recipe of that name against each other on the same rows.

    Raises:
        CorruptModel: the challenger is not what was registered; nothing helps it.
        RegistryUnreachable: the tracking server or an artifact store does not answer.
        Unwritable: the folder for temporary files is full, or the lock cannot be made.

    """
    try:
        recipe = load_recipe(name)
    except InvalidRecipe as err:
        return not_compared("exam", "exam", f"the recipe of {name}", err)
    return compare_recipe(store, layout, recipe, challenger, production)


def compare_recipe(
    store: Store, layout: Layout, recipe: Recipe, challenger: int, production: int
) -> Comparison:
    """The same for a recipe at hand."""
    with tempfile.TemporaryDirectory() as folder:
        ours = _sitter(store, layout, recipe.name, challenger, Path(folder, "challenger"))
        try:
            theirs = _sitter(store, layout, recipe.name, production, Path(folder, "production"))
        except (CorruptModel, NotRegistered) as err:
            place = f"production version {production}"
            return not_compared("production", place, "its model directory", err)
        try:
            exam = sit(recipe, ours, theirs)
        except (InvalidData, InvalidRecipe, CorruptModel) as err:
            return not_compared("exam", "exam", "rows that both versions held out", err)
        # Counted before anything is seen, so that nobody looks for nothing.
        attempt = count_attempt(store, exam.digest, ours, theirs)
        found = _metric(exam, alpha_of(attempt))
        checks = (
            _metric_check(exam, found, attempt),
            *_slices(exam),
            _calibration(exam),
            _parity(ours),
            *_latency(exam, ours, theirs),
            _size(ours, theirs),
        )
        return Comparison(checks, _exam_document(exam, found, attempt))


def count_attempt(store: Store, exam: str, ours: Sitter, theirs: Sitter) -> int:
    """Which attempt at an exam this comparison is, from 1; it is counted by asking.

    The same two versions again are the same attempt: nothing new can come of it.
    """
    name = ours.manifest.name
    prefix = f"{TAG_EXAM}{exam[:16]}."
    key = f"{prefix}{ours.digest[:12]}-{theirs.digest[:12]}"
    with store.lock(name):
        counted = {k: v for k, v in store.models.get(name).tags.items() if k.startswith(prefix)}
        if key not in counted:
            store.models.set_tag(name, key, str(len(counted) + 1))
        return int(counted.get(key, len(counted) + 1))


def _sitter(store: Store, layout: Layout, name: str, version: int, folder: Path) -> Sitter:
    """A version's verified directory: the one that is here, or else a download."""
    stored = store.versions.get(name, version)
    digest = stored.tags.get(TAG_DIGEST)
    if digest is None:
        raise NotRegistered(
            f"{name} version {version}: expected a version made by slipway train, got one "
            f"without the tag {TAG_DIGEST}",
            remedy=f"slipway train {name}",
        )
    here = layout.model(name, version)
    try:
        return Sitter(version, verify(here, digest), digest, here)
    except CorruptModel:
        # Not here, or torn here: what counts is what was registered.
        folder.mkdir()
    try:
        downloaded = store.artifacts.download(stored.run_id, MODEL_DIRECTORY, folder)
    except NotRegistered as err:
        raise CorruptModel(err.what, remedy=err.remedy) from err
    return Sitter(version, verify(downloaded, digest), digest, downloaded)


def _exam_document(exam: SatExam, found: Bounds, attempt: int) -> Evaluation:
    alpha = alpha_of(attempt)
    return Evaluation(
        digest=exam.digest,
        rows=len(exam.rows),
        attempt=attempt,
        alpha=alpha,
        metric=exam.metric,
        challenger=exam.value(exam.challenger),
        production=exam.value(exam.production),
        difference=found.difference,
        low=found.low,
        high=found.high,
        margin=exam.recipe.margin,
        detectable=detectable(found, alpha),
        resamples=RESAMPLES,
    )


# the checks


def _metric(exam: SatExam, alpha: float) -> Bounds:
    return paired(
        exam.recipe.task, exam.metric, exam.truth, exam.challenger, exam.production, alpha
    )


def _metric_check(exam: SatExam, found: Bounds, attempt: int) -> Check:
    """Better for sure, and not for sure by less than counts: ties do not promote."""
    margin = exam.recipe.margin
    passed = is_better(found, margin)
    ours, theirs = exam.value(exam.challenger), exam.value(exam.production)
    confidence = f"{100 * (1 - alpha_of(attempt)):.4g} %"
    expected = f"surely better than production's {theirs:.4g} (attempt {attempt}, {confidence})"
    if margin:
        expected += f", by {margin:g} perhaps"
    bounds_ = f"{found.difference:+.4g} (from {found.low:+.4g}, to {found.high:+.4g})"
    got = f"{ours:.4g}: {bounds_} on {len(exam.rows)} rows"
    sentence = f"{exam.metric}: expected {expected}, got {got}"
    if not found.error:
        sentence += ", since both answer alike: a tie"
    elif not passed:
        least = detectable(found, alpha_of(attempt))
        sentence += f"; this exam shows an improvement of {least:.2g} in 80 of 100 cases"
    return _check("metric", exam.metric, expected, got, sentence, passed=passed)


def _slices(exam: SatExam) -> Iterator[Check]:
    """Not worse anywhere that the recipe names: the bound must be above minus the tolerance.

    All slices must pass, so each may be judged at 5 % (Berger 1982, intersection-union test).
    """
    for feature in exam.recipe.slices:
        column = exam.rows[feature].astype("str").fillna("missing")
        for value in sorted(column.unique()):
            yield _slice(exam, f"{feature}={value}", (column == value).to_numpy(dtype=bool))


def _slice(exam: SatExam, path: str, rows: NDArray[np.bool_]) -> Check:
    tolerance, n_rows = exam.recipe.slice_tolerance, int(rows.sum())
    expected = f"worse by less than {tolerance:g}"
    truth = exam.truth[rows]
    ours, theirs = (Sheet(s.scores[rows], s.threshold) for s in (exam.challenger, exam.production))
    if n_rows < SMALLEST_SLICE or (exam.recipe.is_classifier and len(np.unique(truth)) == 1):
        got = f"{n_rows} rows" + ("" if n_rows < SMALLEST_SLICE else " of one class")
        sentence = f"slice {path}: {got}, too few to be judged"
        return _check("slice", f"slice.{path}", expected, got, sentence, passed=True, judged=False)
    found = paired(exam.recipe.task, exam.metric, truth, ours, theirs, ALPHA)
    got = f"{found.difference:+.4g} (from {found.low:+.4g}) on {n_rows} rows"
    passed = found.low > -tolerance
    sentence = f"slice {path}: expected {exam.metric} {expected}, got {got}"
    return _check("slice", f"slice.{path}", expected, got, sentence, passed=passed)


def _calibration(exam: SatExam) -> Check:
    """Refused only for what is surely too much worse: nobody chose this tolerance."""
    task = exam.recipe.task
    tolerance, name = CALIBRATION_TOLERANCE[task], error_name(task)
    found = worsening(task, exam.truth, exam.challenger, exam.production)
    expected = f"not surely worse than {found.there:.3g} by more than {tolerance:g}"
    got = f"{found.here:.3g} ({found.here - found.there:+.3g}, from {found.low:+.3g})"
    sentence = f"{name}: expected {expected}, got {got}"
    passed = not found.low > tolerance
    return _check("calibration", name, expected, got, sentence, passed=passed)


def _parity(ours: Sitter) -> Check:
    """The golden requests, asked here and now."""
    manifest = ours.manifest
    scale = 1.0 if manifest.classes else max(1.0, _largest_golden(manifest))
    allowed = GOLDEN_MARGIN * manifest.certificate.tolerance * scale
    difference = golden_difference(ours)
    expected, got = f"at most {allowed:.0e}", f"{difference:.1e}"
    sentence = f"golden requests: expected a difference of {expected}, got {got}"
    passed = difference <= allowed
    return _check("parity", "golden requests", expected, got, sentence, passed=passed)


def _largest_golden(manifest: Manifest) -> float:
    return max(abs(score) for request in manifest.golden for score in request.scores)


def _latency(exam: SatExam, ours: Sitter, theirs: Sitter) -> Iterator[Check]:
    sessions = {"ours": OnnxSession(ours.model), "theirs": OnnxSession(theirs.model)}
    rows = exam.rows.iloc[: max(CALLS)]
    matrices = {"ours": _matrix(ours, rows), "theirs": _matrix(theirs, rows)}
    factor = exam.recipe.latency_factor
    for n_rows in CALLS:
        taken = latencies_ms(sessions, matrices, n_rows)
        limit = max(factor * taken["theirs"], UNNOTICED_MS * (1 if n_rows == 1 else 10))
        expected = f"at most {limit:.3g} ms"
        got = f"{taken['ours']:.3g} ms (production {taken['theirs']:.3g} ms)"
        path = f"latency of {n_rows} row{'s' if n_rows > 1 else ''}"
        sentence = f"{path}: expected {expected}, got {got}"
        yield _check("latency", path, expected, got, sentence, passed=taken["ours"] <= limit)


def _matrix(sitter: Sitter, rows: pd.DataFrame) -> NDArray[np.float32]:
    schema = sitter.manifest.schema
    return schema.matrix(rows_of(rows, schema))


def _size(ours: Sitter, theirs: Sitter) -> Check:
    here, there = ((s.directory / MODEL_FILE).stat().st_size for s in (ours, theirs))
    got = f"{here:,} bytes (production {there:,})"
    return _check("size", MODEL_FILE, "", got, f"size: {got}", passed=True, judged=False)


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
