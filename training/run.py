"""The story of a training run, from a recipe to a registered version."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from contracts.manifest import (
    Certificate,
    DataIdentity,
    GateResult,
    GoldenRequest,
    Manifest,
    Metric,
    Retrained,
)
from contracts.names import MANIFEST_FILE, MODEL_FILE, REFERENCE_FILE, SAMPLE_FILE
from contracts.times import utc_text
from registry.register import register_version
from registry.store import Store
from training import tracking
from training.dataset import Split, frame_of, load_table, rows_of, split
from training.export import onnx_of
from training.importance import importance_of
from training.metrics import holdout_metrics
from training.parity import certify
from training.pipeline import fitted_pipeline, scores_of
from training.plots import plots_of
from training.recipe import Recipe, load_recipe
from training.reference import reference_of, sample_parquet

GOLDEN_REQUESTS = 16


@dataclass(frozen=True)
class TrainedVersion:
    """What a run gave; `seconds_logged` is what logging and registering took."""

    name: str
    version: int
    run_id: str
    metrics: dict[str, Metric]
    certificate: Certificate
    gates: tuple[GateResult, ...]
    digest: str
    seconds_fit: float
    seconds_logged: float


@dataclass(frozen=True)
class Material:
    """Rows to learn from and rows held out; for a retraining also why, and on what."""

    split: Split
    retrained: Retrained | None = None


@dataclass(frozen=True)
class Source:
    """Where rows come from (else the recipe), and what run and version are marked with."""

    material: Callable[[], Material] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Fitted:
    """Everything that is known of a fitted model, before anything is logged."""

    recipe: Recipe
    split: Split
    retrained: Retrained | None
    pipeline: Pipeline
    scores: NDArray[np.float64]
    truth: NDArray[Any]
    metrics: dict[str, Metric]
    importance: dict[str, float]
    model: bytes
    certificate: Certificate
    seconds_fit: float


def train(name: str, store: Store, *, seed: int = 0) -> TrainedVersion:
    """Fit, measure, export, certify, log and register the recipe of that name.

    Raises:
        InvalidRecipe, InvalidData: the recipe or its rows; the run, if there is one, is FAILED.
        CertificateFailed: the ONNX model answers otherwise; nothing is registered.
        RegistryUnreachable: the tracking server does not answer.

    """
    return train_recipe(load_recipe(name), store, seed=seed)


def train_recipe(
    recipe: Recipe, store: Store, *, seed: int = 0, source: Source | None = None
) -> TrainedVersion:
    """The same for a recipe at hand; its rows are the recipe's unless `source` gives others."""
    source = source or Source()
    commit = tracking.git_commit(Path(__file__).parent)
    with tracking.open_run(store.tracking_uri, recipe, commit, source.tags) as run_id:
        fitted = _fit(recipe, seed, source.material)
        begin = time.monotonic()
        tracking.log_order(source.files)
        with tempfile.TemporaryDirectory() as folder:
            digest, gates = _log(fitted, run_id, commit, Path(folder))
        model_uri = tracking.log_pipeline(recipe, fitted.pipeline, fitted.split.holdout)
        version = register_version(
            store,
            name=recipe.name,
            run_id=run_id,
            source=model_uri,
            digest=digest,
            recipe=recipe.name,
            description=recipe.description,
            tags=source.tags,
        )
        return TrainedVersion(
            name=recipe.name,
            version=version,
            run_id=run_id,
            metrics=fitted.metrics,
            certificate=fitted.certificate,
            gates=gates,
            digest=digest,
            seconds_fit=fitted.seconds_fit,
            seconds_logged=time.monotonic() - begin,
        )


def _fit(recipe: Recipe, seed: int, material: Callable[[], Material] | None = None) -> _Fitted:
    rng = np.random.default_rng(seed)
    begin = time.monotonic()
    made = material() if material else Material(split(recipe, load_table(recipe), seed))
    parts = made.split
    pipeline = fitted_pipeline(recipe, parts, seed)
    seconds_fit = time.monotonic() - begin
    scores = scores_of(pipeline, parts.holdout, recipe)
    truth = places_of(recipe, parts.holdout_target)
    model = onnx_of(pipeline, recipe)
    deviation = 1.0 if recipe.is_classifier else np.std(parts.train_target, axis=0)
    return _Fitted(
        recipe=recipe,
        split=parts,
        retrained=made.retrained,
        pipeline=pipeline,
        scores=scores,
        truth=truth,
        metrics=holdout_metrics(recipe.task, truth, scores, threshold=recipe.threshold, seed=seed),
        importance=importance_of(pipeline, recipe, parts.holdout, truth, rng),
        model=model,
        certificate=certify(pipeline, model, recipe, parts.holdout, deviation, rng),
        seconds_fit=seconds_fit,
    )


def places_of(recipe: Recipe, target: NDArray[Any]) -> NDArray[Any]:
    """Targets as places in the list of classes, or as values."""
    if not recipe.is_classifier:
        return target
    place = {name: index for index, name in enumerate(recipe.classes)}
    return np.array([place[name] for name in target])


def _log(
    fitted: _Fitted, run_id: str, commit: str, folder: Path
) -> tuple[str, tuple[GateResult, ...]]:
    """Write and log the model directory, the plots and the numbers; gives digest and gates."""
    directory, plots = folder / "model", folder / "plots"
    directory.mkdir()
    plots.mkdir()
    files = {
        MODEL_FILE: fitted.model,
        REFERENCE_FILE: reference_of(fitted.recipe, fitted.split, fitted.scores).write_pretty(),
        SAMPLE_FILE: sample_parquet(fitted.recipe, fitted.split, fitted.scores),
    }
    manifest = _manifest(fitted, run_id, commit, files)
    text = manifest.write_pretty()
    for name, data in (files | {MANIFEST_FILE: text}).items():
        (directory / name).write_bytes(data)
    tracking.log_directory(directory)
    tracking.log_plots(
        plots_of(fitted.recipe, fitted.truth, fitted.scores, fitted.importance), plots
    )
    tracking.log_data(fitted.recipe, fitted.split)
    tracking.log_facts(fitted.recipe, fitted.pipeline, fitted.metrics)
    return hashlib.sha256(text).hexdigest(), manifest.gates


def _manifest(fitted: _Fitted, run_id: str, commit: str, files: Mapping[str, bytes]) -> Manifest:
    recipe = fitted.recipe
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
            source=_source_of(fitted),
            digest=fitted.split.digest,
            n_train=len(fitted.split.train),
            n_holdout=len(fitted.split.holdout),
        ),
        libraries=tracking.versions_of(),
        metrics=fitted.metrics,
        gates=gate_results(recipe, fitted.metrics),
        importance=fitted.importance,
        certificate=fitted.certificate,
        golden=_golden(fitted),
        label_delay_s=recipe.label_delay.total_seconds(),
        segments=recipe.segments,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        retrained=fitted.retrained,
    )


def _source_of(fitted: _Fitted) -> str:
    recipe = f"training/recipes/{fitted.recipe.name}.py"
    if fitted.retrained is None:
        return recipe
    return f"{recipe} and labelled traffic (retraining {fitted.retrained.retraining_id})"


def gate_results(recipe: Recipe, metrics: Mapping[str, Metric]) -> tuple[GateResult, ...]:
    """Each gate of the recipe against the metric that was measured."""
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


def _golden(fitted: _Fitted) -> tuple[GoldenRequest, ...]:
    """Requests with their answers: held-out rows, and one with everything missing that may be."""
    schema = fitted.recipe.schema
    rows = rows_of(fitted.split.holdout.iloc[:GOLDEN_REQUESTS], schema)
    gaps = {f.name: None for f in schema.features if f.nullable}
    rows = [*rows[:-1], rows[-1] | gaps]
    scores = scores_of(fitted.pipeline, frame_of(rows, schema), fitted.recipe)
    return tuple(
        GoldenRequest(features=row, scores=tuple(float(score) for score in answer))
        for row, answer in zip(rows, scores, strict=True)
    )
