"""Compares a version that was fitted on all rows with the one that was examined in its place."""

from collections.abc import Iterator

from contracts.decision import Check
from contracts.errors import InvalidData
from registry.gate import Comparison
from training.dataset import encoded_targets, targets_of
from training.evaluation.bootstrap import paired_improvement
from training.evaluation.checks import latency_checks, parity_check, size_check
from training.evaluation.model_version import ModelVersion
from training.evaluation.paired_predictions import PairedEvaluation
from training.recipe import Recipe

LEVEL = 0.001
"""Of the test whether a version is worse on rows that it has learned: then its fit went wrong."""


def is_refit_of(challenger: ModelVersion, production: ModelVersion) -> bool:
    """Whether a challenger is production's procedure, fitted on its exam's rows as well."""
    retrained = challenger.manifest.retrained
    return retrained is not None and retrained.examined_digest == production.digest


def compare_refit(recipe: Recipe, challenger: ModelVersion, production: ModelVersion) -> Comparison:
    """The checks of a refit: its own, and that it did not become worse on what it learned.

    There is no row that it has not learned, so there is no exam and no attempt: the exam of the
    version in production speaks for the procedure.
    """
    rows = production.held_out.rename(columns={"label": recipe.targets[0]})
    evaluation = PairedEvaluation(
        digest="",
        recipe=recipe,
        rows=rows,
        target=encoded_targets(recipe, targets_of(recipe, rows)),
        challenger=challenger.predict(rows),
        production=production.predict(rows),
        in_time_order=True,
    )
    return Comparison(tuple(_checks(evaluation, challenger, production)))


def _checks(
    evaluation: PairedEvaluation, challenger: ModelVersion, production: ModelVersion
) -> Iterator[Check]:
    yield _fitted_check(evaluation, challenger, production)
    yield parity_check(challenger)
    yield from latency_checks(evaluation, challenger, production)
    yield size_check(challenger, production)


def _fitted_check(
    evaluation: PairedEvaluation, challenger: ModelVersion, production: ModelVersion
) -> Check:
    lead = paired_improvement(
        evaluation.recipe.task,
        evaluation.metric,
        evaluation.target,
        evaluation.production,
        evaluation.challenger,
        LEVEL,
        in_time_order=True,
    )
    expected = (
        f"not worse than version {production.version} on the {len(evaluation.rows)} rows of its "
        "exam, which this version has learned"
    )
    got = f"{-lead.difference:+.4g}"
    sentence = (
        f"{evaluation.metric}: version {challenger.version} is version {production.version} "
        f"fitted on all rows, those of its exam included; expected {expected}, got {got}"
    )
    return Check(
        subject="exam",
        path=f"version {production.version}",
        expected=expected,
        got=got,
        passed=not lead.low > 0,
        sentence=sentence,
    )


def examined_version(challenger: ModelVersion, production: ModelVersion) -> int:
    """The version to compare with in place of production, or 0 for production itself.

    A production version that has learned the rows of its exam is represented on them by the
    version that was examined for it, unless the challenger holds out newer rows.

    Raises:
        InvalidData: the challenger has learned its exam, and not against this production version.

    """
    ours, theirs = challenger.manifest.retrained, production.manifest.retrained
    if ours is not None and ours.examined_version:
        raise InvalidData(
            f"version {challenger.version}: expected version {ours.examined_version}, which was "
            f"examined for it, to be in production, got version {production.version}",
            remedy=f"promote version {ours.examined_version} first",
        )
    if theirs is None or not theirs.examined_version:
        return 0
    is_newer = ours is not None and ours.learned_until >= theirs.learned_until
    return 0 if is_newer else theirs.examined_version
