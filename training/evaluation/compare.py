"""Compares a challenger with production on the same rows, for the gate to decide on."""

import tempfile
from pathlib import Path

from contracts.decision import Check, Evaluation
from contracts.errors import CorruptModel, InvalidData, InvalidRecipe, NotRegistered
from contracts.names import Layout
from metrics.alpha_spending import alpha_at_attempt
from registry.gate import Comparison, not_compared
from registry.store import Store
from training.evaluation.bootstrap import (
    RESAMPLES,
    Improvement,
    detectable_improvement,
    paired_improvement,
)
from training.evaluation.checks import (
    blind_check,
    calibration_check,
    latency_checks,
    metric_check,
    parity_check,
    segment_checks,
    size_check,
)
from training.evaluation.model_version import ModelVersion, load_model_version
from training.evaluation.paired_predictions import PairedEvaluation, evaluate_pair
from training.evaluation.refit import compare_refit, examined_version, is_refit_of
from training.recipe import Recipe, load_recipe

TAG_ATTEMPT = "slipway.exam."
"""Prefix of a tag on a registered model, one per comparison:
`<evaluation>.<challenger>-<production>`; its value is the number of the attempt."""


def compare_by_name(
    store: Store, layout: Layout, name: str, challenger: int, production: int
) -> Comparison:
    """Compare two versions of the recipe of that name.

    A recipe that cannot be loaded is a check that refuses. Raises what `compare_versions` does.
    """
    try:
        recipe = load_recipe(name)
    except InvalidRecipe as err:
        return not_compared("exam", "exam", f"the recipe of {name}", err)
    return compare_versions(store, layout, recipe, challenger, production)


def compare_versions(
    store: Store, layout: Layout, recipe: Recipe, challenger: int, production: int
) -> Comparison:
    """Compare two versions of a recipe on the rows that neither has learned.

    Each comparison with new results counts as an attempt, which is recorded on the model.

    Raises:
        CorruptModel: the challenger's files are not those that were registered.
        RegistryUnreachable: the tracking server or an artifact store does not answer.
        Unwritable: the folder for temporary files is full, or the lock cannot be made.

    """
    with tempfile.TemporaryDirectory() as folder:
        ours = load_model_version(
            store, layout, recipe.name, challenger, Path(folder, "challenger")
        )
        try:
            theirs = load_model_version(
                store, layout, recipe.name, production, Path(folder, "production")
            )
        except (CorruptModel, NotRegistered) as err:
            path = f"production version {production}"
            return not_compared("production", path, "its model directory", err)
        if is_refit_of(ours, theirs):
            return compare_refit(recipe, ours, theirs)
        try:
            examined = examined_version(ours, theirs)
            sitter = theirs
            if examined:
                aside = Path(folder, "examined")
                sitter = load_model_version(store, layout, recipe.name, examined, aside)
            evaluation = evaluate_pair(recipe, ours, sitter)
        except (InvalidData, InvalidRecipe, CorruptModel, NotRegistered) as err:
            return not_compared("exam", "exam", "rows that both versions held out", err)
        return _compared(store, evaluation, ours, sitter, theirs)


def _compared(
    store: Store,
    evaluation: PairedEvaluation,
    challenger: ModelVersion,
    sitter: ModelVersion,
    production: ModelVersion,
) -> Comparison:
    """Every check of an evaluation against the version that sits it, for production or itself."""
    blind = _blind_check(store, evaluation, challenger, sitter)
    if blind is not None:
        return Comparison((blind,), undecided=True)
    # Counted before any result is known, so that a bad one counts too.
    attempt = count_attempt(store, evaluation.digest, challenger, sitter)
    found = _improvement(evaluation, alpha_at_attempt(attempt))
    checks = (
        metric_check(evaluation, found, attempt),
        *segment_checks(evaluation),
        calibration_check(evaluation),
        parity_check(challenger),
        *latency_checks(evaluation, challenger, production),
        size_check(challenger, production),
    )
    return Comparison(checks, _exam_document(evaluation, found, attempt))


def count_attempt(
    store: Store, evaluation: str, challenger: ModelVersion, production: ModelVersion
) -> int:
    """Count a comparison and return its number among the attempts at an evaluation, from 1.

    `evaluation` is its digest. The same two versions again are the same attempt, since the
    result cannot differ.
    """
    name = challenger.manifest.name
    with store.lock(name):
        attempt, key = _attempt(store, evaluation, challenger, production)
        if key not in store.models.get(name).tags:
            store.models.set_tag(name, key, str(attempt))
        return attempt


def _attempt(
    store: Store, evaluation: str, challenger: ModelVersion, production: ModelVersion
) -> tuple[int, str]:
    """The number of an attempt, counted or to come, and the tag that counts it."""
    prefix = f"{TAG_ATTEMPT}{evaluation[:16]}."
    key = f"{prefix}{challenger.digest[:12]}-{production.digest[:12]}"
    tags = store.models.get(challenger.manifest.name).tags
    counted = {k: v for k, v in tags.items() if k.startswith(prefix)}
    return int(counted.get(key, len(counted) + 1)), key


def _blind_check(
    store: Store,
    evaluation: PairedEvaluation,
    challenger: ModelVersion,
    production: ModelVersion,
) -> Check | None:
    """A check that refuses, if the evaluation cannot see what its retraining must show.

    Only the standard error is looked at, which says nothing about who is better, so nothing is
    spent. An attempt that is counted already is decided as it was.
    """
    retrained = challenger.manifest.retrained
    if retrained is None or not retrained.sought:
        return None
    attempt, key = _attempt(store, evaluation.digest, challenger, production)
    if key in store.models.get(challenger.manifest.name).tags:
        return None
    alpha = alpha_at_attempt(attempt)
    found = _improvement(evaluation, alpha)
    detectable = detectable_improvement(found.without_result(len(evaluation.rows)), alpha)
    if detectable <= retrained.sought:
        return None
    return blind_check(evaluation, detectable, retrained.sought)


def _improvement(evaluation: PairedEvaluation, alpha: float) -> Improvement:
    return paired_improvement(
        evaluation.recipe.task,
        evaluation.metric,
        evaluation.target,
        evaluation.challenger,
        evaluation.production,
        alpha,
        in_time_order=evaluation.in_time_order,
    )


def _exam_document(evaluation: PairedEvaluation, found: Improvement, attempt: int) -> Evaluation:
    alpha = alpha_at_attempt(attempt)
    return Evaluation(
        digest=evaluation.digest,
        rows=len(evaluation.rows),
        attempt=attempt,
        alpha=alpha,
        metric=evaluation.metric,
        challenger=evaluation.value(evaluation.challenger),
        production=evaluation.value(evaluation.production),
        difference=found.difference,
        low=found.low,
        high=found.high,
        margin=evaluation.recipe.margin,
        detectable=detectable_improvement(found, alpha),
        resamples=RESAMPLES,
    )
