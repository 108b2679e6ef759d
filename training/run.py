"""A training run, from a recipe to a registered version."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.manifest import Certificate, GateResult, Metric, Runtime
from contracts.names import CARD_FOLDER, MANIFEST_FILE, REFERENCE_FILE, SAMPLE_FILE, TAG_RUNTIME
from registry.register import register_version
from registry.signing import check_signing_key
from registry.store import Store
from training import tracking
from training.card.build import model_card
from training.card.log import card_files
from training.descriptions import model_description, version_description
from training.fitting import FittedModel, LoadData, fit, recipe_data
from training.manifest import manifest_of
from training.plots import plots_of
from training.provenance import recipe_source
from training.recipe import Recipe
from training.reference import reference_of, sample_of, sample_parquet


@dataclass(frozen=True)
class TrainedVersion:
    """The version that a run registered; `digest` is the sha256 of its manifest.

    `notes` are what a person should know though nothing failed.
    """

    name: str
    version: int
    run_id: str
    metrics: dict[str, Metric]
    runtime: Runtime
    certificate: Certificate
    gates: tuple[GateResult, ...]
    digest: str
    notes: tuple[str, ...] = ()


def train_recipe(
    recipe: Recipe,
    store: Store,
    *,
    seed: int = 0,
    load: LoadData = recipe_data,
    tags: Mapping[str, str] | None = None,
    attachments: tuple[Path, ...] = (),
) -> TrainedVersion:
    """Fit, measure, export, certify, log and register a recipe.

    `load` returns the rows, within the run, so that a failure to load them ends it as FAILED;
    `tags` are set on the run and the version; `attachments` are logged under `retraining/`.

    Raises:
        InvalidRecipe, InvalidData: the recipe or its rows; the run, if there is one, is FAILED.
        CertificateFailed: what would be served predicts differently; nothing is registered.
        InvalidSetting: the signing key cannot be used.
        RegistryUnreachable: the tracking server does not answer.

    """
    source = recipe_source(recipe.name)
    tags = {**(tags or {}), **source.tags}
    commit = source.marked(tracking.git_commit(Path(__file__).parent))
    check_signing_key(store)
    with tracking.open_run(store.tracking_uri, recipe, commit, tags) as run_id:
        fitted = fit(recipe, seed, load)
        tracking.log_retraining(attachments)
        with tempfile.TemporaryDirectory() as folder:
            digest, gates = _log(fitted, run_id, commit, Path(folder))
        rows = fitted.data.split
        model_uri = tracking.log_pipeline(
            fitted.recipe, fitted.pipeline, rows.holdout, rows.holdout_target
        )
        tracking.log_framework_model(fitted.pipeline)
        version = register_version(
            store,
            name=recipe.name,
            run_id=run_id,
            source=model_uri,
            digest=digest,
            recipe=recipe.name,
            description=model_description(recipe),
            version_description=version_description(recipe, fitted.metrics),
            tags={**tags, TAG_RUNTIME: fitted.form.runtime},
        )
        tracking.name_run(recipe, version)
        return TrainedVersion(
            name=recipe.name,
            version=version,
            run_id=run_id,
            metrics=fitted.metrics,
            runtime=fitted.form.runtime,
            certificate=fitted.certificate,
            gates=gates,
            digest=digest,
            notes=fitted.notes,
        )


def _log(
    fitted: FittedModel, run_id: str, commit: str, folder: Path
) -> tuple[str, tuple[GateResult, ...]]:
    """Log the model directory, the plots and the numbers; returns the digest and the gates."""
    recipe, rows = fitted.recipe, fitted.data.split
    directory, plots = folder / "model", folder / "plots"
    directory.mkdir()
    plots.mkdir()
    reference = reference_of(recipe, rows, fitted.scores)
    sample = sample_of(recipe, rows, fitted.scores)
    files = {
        **fitted.form.files,
        REFERENCE_FILE: reference.write_pretty(),
        SAMPLE_FILE: sample_parquet(sample),
    }
    manifest = manifest_of(fitted, run_id, commit, files)
    text = manifest.write_pretty()
    for name, data in (files | {MANIFEST_FILE: text}).items():
        (directory / name).write_bytes(data)
    tracking.log_directory(directory)
    tracking.log_plots(
        plots_of(recipe, fitted.target, fitted.scores, fitted.score_kind, fitted.importance), plots
    )
    tracking.log_data(recipe, rows)
    tracking.log_notes(fitted.notes)
    if fitted.threshold_curve is not None:
        tracking.log_document(fitted.threshold_curve.document, "threshold.json")
    if fitted.compression is not None:
        tracking.log_document(fitted.compression.document, "compression.json")
    tracking.log_facts(recipe, fitted.pipeline, fitted.metrics)
    digest = hashlib.sha256(text).hexdigest()
    tracking.log_files(card_files(model_card(manifest, digest, reference, sample)), CARD_FOLDER)
    return digest, manifest.gates
