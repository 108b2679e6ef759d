"""Writes the manifest of a fitted model: everything that serving and monitoring know about it."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from contracts.manifest import DataIdentity, GateResult, GoldenRequest, Manifest, Metric
from contracts.times import utc_text
from training.dataset import frame_of, plain_rows
from training.fitting import FittedModel
from training.frameworks.catalog import framework_versions
from training.pipeline import estimators_within, scores_of
from training.recipe import Recipe
from training.versions import all_versions

GOLDEN_REQUESTS = 16


def manifest_of(
    fitted: FittedModel, run_id: str, commit: str, files: Mapping[str, bytes]
) -> Manifest:
    """The manifest; `files` are the other files of the model directory."""
    recipe, rows = fitted.recipe, fitted.data.split
    return Manifest(
        name=recipe.name,
        task=recipe.task,
        schema=recipe.schema,
        classes=recipe.classes,
        outputs=() if recipe.is_classifier else recipe.targets,
        output_unit=recipe.unit,
        threshold=recipe.threshold if recipe.task == "binary" else None,
        description=recipe.description,
        run_id=run_id,
        recipe=recipe.name,
        created_at=utc_text(datetime.now(UTC), "seconds"),
        git_commit=commit,
        data=DataIdentity(
            source=_data_source(fitted),
            digest=rows.digest,
            n_train=len(rows.train),
            n_holdout=len(rows.holdout),
        ),
        libraries=all_versions() | framework_versions(estimators_within(fitted.pipeline)),
        metrics=fitted.metrics,
        gates=gate_results(recipe, fitted.metrics),
        importance=fitted.importance.share,
        importance_std=fitted.importance.standard_deviation,
        certificate=fitted.certificate,
        score_kind=fitted.score_kind,
        golden=_golden_requests(fitted),
        label_delay_s=recipe.label_delay.total_seconds(),
        segments=recipe.segment_features,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        retrained=fitted.data.retrained,
        runtime=fitted.form.runtime,
        requirements=dict(fitted.form.requirements),
        card=recipe.card,
    )


def _data_source(fitted: FittedModel) -> str:
    path = f"training/recipes/{fitted.recipe.name}.py"
    retrained = fitted.data.retrained
    if retrained is None:
        return path
    return f"{path} and labelled traffic (retraining {retrained.retraining_id})"


def gate_results(recipe: Recipe, metrics: Mapping[str, Metric]) -> tuple[GateResult, ...]:
    """Each gate of the recipe with the metric that was measured."""
    return tuple(
        GateResult(
            metric=gate.metric,
            value=(value := metrics[gate.metric].value),
            minimum=gate.minimum,
            maximum=gate.maximum,
            passed=(gate.minimum is None or value >= gate.minimum)
            and (gate.maximum is None or value <= gate.maximum),
        )
        for gate in recipe.gates
    )


def _golden_requests(fitted: FittedModel) -> tuple[GoldenRequest, ...]:
    """Held-out rows with the pipeline's scores; in the last one, every nullable value is null."""
    schema = fitted.recipe.schema
    rows = plain_rows(fitted.data.split.holdout.iloc[:GOLDEN_REQUESTS], schema)
    nulls = {f.name: None for f in schema.features if f.nullable}
    rows = [*rows[:-1], rows[-1] | nulls]
    scores = scores_of(fitted.pipeline, frame_of(rows, schema), fitted.recipe)
    return tuple(
        GoldenRequest(features=row, scores=tuple(float(score) for score in row_scores))
        for row, row_scores in zip(rows, scores, strict=True)
    )
