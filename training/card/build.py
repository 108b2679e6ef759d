"""Build a model card from the documents of a version."""

from datetime import UTC, datetime

import pandas as pd

from contracts.card import Deployment, FeatureFacts, ModelCard
from contracts.feature import Feature
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE, MODEL_DIRECTORY, REFERENCE_FILE, SAMPLE_FILE
from contracts.reference import CategoryReference, ColumnReference, Reference
from contracts.times import utc_text
from contracts.timestamps import timestamp_text
from training.card.segments import segment_figures

MAX_SHOWN_CATEGORIES = 8


def model_card(
    manifest: Manifest,
    digest: str,
    reference: Reference,
    sample: pd.DataFrame,
    deployment: Deployment | None = None,
) -> ModelCard:
    """The card of the version with this manifest.

    `digest` is the sha256 of the manifest; `sample` has held-out rows with `prediction`, `score`
    and `label`. Without a `deployment` it is the card of a version that was just registered.
    """
    return ModelCard(
        name=manifest.name,
        task=manifest.task,
        description=manifest.description,
        digest=digest,
        run_id=manifest.run_id,
        recipe=manifest.recipe,
        git_commit=manifest.git_commit,
        trained_at=manifest.created_at,
        made_at=utc_text(datetime.now(UTC), "seconds"),
        notes=manifest.card,
        runtime=manifest.runtime,
        data=manifest.data,
        retrained=manifest.retrained,
        classes=manifest.classes,
        outputs=manifest.outputs,
        output_unit=manifest.output_unit,
        threshold=manifest.threshold,
        label_delay_s=manifest.label_delay_s,
        features=tuple(
            _feature_facts(manifest, feature, reference) for feature in manifest.schema.features
        ),
        metrics=manifest.metrics,
        gates=manifest.gates,
        segments=segment_figures(manifest, sample),
        sample_rows=len(sample),
        certificate=manifest.certificate,
        libraries=manifest.libraries,
        deployment=deployment,
        sources=_sources(manifest, deployment),
    )


def _feature_facts(manifest: Manifest, feature: Feature, reference: Reference) -> FeatureFacts:
    column = reference.features.get(feature.name)
    if feature.name in reference.timestamps:
        return _timestamp_facts(manifest, feature, reference)
    return FeatureFacts(
        name=feature.name,
        expected=feature.expected,
        description=feature.description,
        seen="" if column is None else _seen(column),
        missing_share=0.0 if column is None else column.missing / max(reference.n_rows, 1),
        importance=manifest.importance.get(feature.name, 0.0),
    )


def _timestamp_facts(manifest: Manifest, feature: Feature, reference: Reference) -> FeatureFacts:
    """A timestamp is as important as its parts together."""
    found = reference.timestamps[feature.name]
    ends = timestamp_text(found.minimum), timestamp_text(found.maximum)
    return FeatureFacts(
        name=feature.name,
        expected=f"{feature.expected}; the model gets {', '.join(found.parts)}",
        description=feature.description,
        seen=" to ".join(ends),
        missing_share=found.missing / max(reference.n_rows, 1),
        importance=sum(manifest.importance.get(part, 0.0) for part in found.parts),
    )


def _seen(column: ColumnReference) -> str:
    """What the training rows held, in words."""
    if not isinstance(column, CategoryReference):
        return f"{column.minimum:g} to {column.maximum:g}, mean {column.mean:.4g}"
    total = sum(column.counts.values()) or 1
    ranked = sorted(column.counts.items(), key=lambda item: -item[1])
    shown = [f"{name} {count / total:.1%}" for name, count in ranked[:MAX_SHOWN_CATEGORIES]]
    more = len(ranked) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown)


def _sources(manifest: Manifest, deployment: Deployment | None) -> dict[str, str]:
    """The document that each part of the card is taken from."""
    of_manifest = f"{MODEL_DIRECTORY}/{MANIFEST_FILE}"
    found = {
        "notes": f"training/recipes/{manifest.recipe}.py: card=CardNotes(...)",
        "data": of_manifest,
        "metrics": of_manifest,
        "certificate": of_manifest,
        "features": f"{of_manifest}, {MODEL_DIRECTORY}/{REFERENCE_FILE}",
        "segments": f"{MODEL_DIRECTORY}/{SAMPLE_FILE}",
    }
    if deployment is not None:
        found["deployment"] = "the history and the decisions of the registered model"
        if deployment.track_record is not None:
            found["track record"] = f"var/verdicts/{manifest.name}/"
    return found
