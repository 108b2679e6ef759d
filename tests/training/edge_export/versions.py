"""Versions of tiny models as model directories on disk, without a registry."""

import hashlib
from pathlib import Path

from contracts.manifest import Manifest, Pointer
from contracts.names import MANIFEST_FILE, REFERENCE_FILE, SAMPLE_FILE
from training.fitting import fit
from training.manifest import manifest_of
from training.recipe import Recipe
from training.reference import reference_of, sample_of, sample_parquet


def write_version(recipe: Recipe, directory: Path) -> Pointer:
    """Fit a recipe and write its model directory; returns a pointer to it."""
    fitted = fit(recipe)
    rows, scores = fitted.data.split, fitted.scores
    files = {
        **fitted.form.files,
        REFERENCE_FILE: reference_of(fitted.recipe, rows, scores).write_pretty(),
        SAMPLE_FILE: sample_parquet(sample_of(fitted.recipe, rows, scores)),
    }
    manifest = manifest_of(fitted, "a" * 32, "b" * 40, files)
    directory.mkdir(parents=True)
    for name, data in (files | {MANIFEST_FILE: manifest.write_pretty()}).items():
        (directory / name).write_bytes(data)
    return Pointer(
        name=recipe.name,
        version=1,
        run_id="a" * 32,
        digest=hashlib.sha256((directory / MANIFEST_FILE).read_bytes()).hexdigest(),
        bento_tag=f"{recipe.name}:1",
        moved_at="2026-01-01T00:00:00Z",
    )


def read_manifest(directory: Path) -> Manifest:
    return Manifest.read((directory / MANIFEST_FILE).read_bytes())
