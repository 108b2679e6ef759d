"""Writes the folder of an edge export, and compares each form in it with the served model."""

import gzip
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from contracts.decision_rule import DecisionRule
from contracts.edge_model import EDGE_FILE, EdgeForm, EdgeModel
from contracts.errors import CertificateFailed, InvalidRecipe, PlatformError, first_line
from contracts.files import write_whole
from contracts.manifest import Manifest, Pointer
from contracts.names import MANIFEST_FILE, MODEL_FILE, SAMPLE_FILE
from training.edge_export.agreement import (
    Answers,
    FeatureRow,
    compared_rows,
    disagreement,
    served_answers,
)
from training.edge_export.c_source import TEMPLATES, c_files
from training.edge_export.forms import (
    GRAPH_FILE,
    PLAIN_NODE,
    CannotRun,
    FormRun,
    run_c,
    run_graph,
    run_javascript,
)
from training.edge_export.javascript import MODULE_FILE, javascript_module
from training.edge_export.operators import STATEMENTS
from training.edge_export.program import Program, Unportable, program_of
from training.edge_export.whole_graph import OUTPUTS, input_names, missing_text, whole_graph

GOLDEN_FILE = "golden.jsonl"
COMPRESSED_FILE = f"{GRAPH_FILE}.gz"
COMMON_FILES = ("README.md", "index.html", "onnx_node.mjs", "onnx_rows.mjs", "package.json")
"""Files that are the same for every model."""
ONNX, C, JAVASCRIPT = "onnx", "c", "javascript"

RunForm = Callable[[Path, EdgeModel, Manifest, Sequence[FeatureRow]], FormRun]


@dataclass(frozen=True)
class _Built:
    """One form: its files, which of them score, and what runs it."""

    form: str
    files: Mapping[str, bytes]
    scoring: tuple[str, ...]
    run: RunForm


def export_edge(directory: Path, pointer: Pointer, folder: Path) -> EdgeModel:
    """Export a version; `directory` is its verified model directory.

    A form that the model does not have, or that answers differently, is left out with the reason.

    Raises:
        InvalidRecipe: the version has no graph, or timestamps.
        CertificateFailed: the graph with everything in it answers differently.
        PlatformError: the folder is not empty, or cannot be written.

    """
    manifest = Manifest.read((directory / MANIFEST_FILE).read_bytes(), str(directory))
    if manifest.runtime != "onnx":
        raise InvalidRecipe(
            f"model {manifest.name!r} version {pointer.version}: expected the runtime 'onnx', "
            f"got {manifest.runtime!r}",
            remedy="an edge export needs a graph; docs/certificate.md lists what has one",
        )
    times = [feature.name for feature in manifest.schema.features if feature.is_timestamp]
    if times:
        raise InvalidRecipe(
            f"model {manifest.name!r} version {pointer.version}: expected features without "
            f"timestamps, got {', '.join(times)}",
            remedy="an edge export has no time zones: make the parts features of the recipe",
        )
    _make_empty(folder)
    model = (directory / MODEL_FILE).read_bytes()
    described = _described(manifest, pointer)
    rows = compared_rows(manifest, pd.read_parquet(io.BytesIO(_sample(directory))))
    expected = served_answers(model, manifest, rows)
    common = {name: (TEMPLATES / name).read_bytes() for name in COMMON_FILES}
    common |= {GOLDEN_FILE: _golden(manifest)}
    _write(folder, common)
    graph = _graph(model, manifest)
    forms = [
        _tried(graph, folder, described, manifest, rows, expected),
        *_program_forms(model, folder, described, manifest, rows, expected),
    ]
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }
    whole = msgspec.structs.replace(described, forms=tuple(forms), files=files)
    _write(folder, {EDGE_FILE: whole.write_pretty()})
    return whole


def _make_empty(folder: Path) -> None:
    """Make the folder, which must hold nothing yet."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as err:
        raise PlatformError(
            f"{folder}: expected a folder to write to, got {err.strerror}",
            remedy="name a new folder",
        ) from err
    if not is_empty:
        raise PlatformError(
            f"{folder}: expected an empty folder, got one with files", remedy="name a new folder"
        )


def _sample(directory: Path) -> bytes:
    return (directory / SAMPLE_FILE).read_bytes()


def _described(manifest: Manifest, pointer: Pointer) -> EdgeModel:
    return EdgeModel(
        name=manifest.name,
        version=pointer.version,
        digest=pointer.digest,
        task=manifest.task,
        schema=manifest.schema,
        classes=manifest.classes,
        value_names=manifest.outputs,
        threshold=DecisionRule.of(manifest).threshold if manifest.task == "binary" else None,
        score_kind=manifest.score_kind,
        inputs=input_names(manifest),
        outputs=OUTPUTS,
        missing_text=missing_text(manifest),
        tolerance=manifest.certificate.tolerance,
    )


def _golden(manifest: Manifest) -> bytes:
    """The golden requests, one per line, with the scores of the fitted pipeline."""
    lines = [msgspec.json.encode(golden) for golden in manifest.golden]
    return b"\n".join(lines) + b"\n"


def _graph(model: bytes, manifest: Manifest) -> _Built:
    golden, _ = manifest.schema.apply_policies(manifest.golden[0].features)
    stand_in = manifest.schema.matrix([golden], np.float64)[0]
    graph = whole_graph(model, manifest, stand_in)
    files = {GRAPH_FILE: graph, COMPRESSED_FILE: gzip.compress(graph, mtime=0)}
    return _Built(ONNX, files, (GRAPH_FILE,), run_graph)


def _program_forms(
    model: bytes,
    folder: Path,
    described: EdgeModel,
    manifest: Manifest,
    rows: Sequence[FeatureRow],
    expected: Answers,
) -> list[EdgeForm]:
    """C and JavaScript, from the same program."""
    try:
        program = program_of(model, STATEMENTS)
    except Unportable as err:
        return [
            EdgeForm(form=form, left_out=f"no statements for {err}") for form in (C, JAVASCRIPT)
        ]
    return [
        _tried(built, folder, described, manifest, rows, expected)
        for built in (_c(program, described), _javascript(program, described))
    ]


def _c(program: Program, described: EdgeModel) -> _Built:
    files = c_files(program, described)
    name = described.name
    return _Built(C, files, (f"{name}.h", f"{name}.c"), run_c)


def _javascript(program: Program, described: EdgeModel) -> _Built:
    example = (TEMPLATES / PLAIN_NODE).read_bytes()
    files = {MODULE_FILE: javascript_module(program, described), PLAIN_NODE: example}
    return _Built(JAVASCRIPT, files, (MODULE_FILE,), run_javascript)


def _tried(
    built: _Built,
    folder: Path,
    described: EdgeModel,
    manifest: Manifest,
    rows: Sequence[FeatureRow],
    expected: Answers,
) -> EdgeForm:
    """Write a form and run it; one that answers differently is removed again.

    Raises:
        CertificateFailed: the graph answers differently.

    """
    _write(folder, built.files)
    scoring = b"".join(built.files[name] for name in built.scoring)
    form = EdgeForm(
        form=built.form,
        files=tuple(built.files),
        size_bytes=len(scoring),
        gzip_bytes=len(gzip.compress(scoring, mtime=0)),
    )
    try:
        run = built.run(folder, described, manifest, rows)
    except CannotRun as err:
        return msgspec.structs.replace(form, left_out=f"not compared here: {err}")
    found = disagreement(manifest, expected, run.answers)
    if found.is_within(manifest.certificate.tolerance):
        return msgspec.structs.replace(
            form,
            rows=len(rows),
            class_differences=found.class_differences,
            flag_differences=found.flag_differences,
            max_difference=found.max_difference,
            microseconds_per_row=round(run.microseconds_per_row, 3),
        )
    reason = (
        f"expected the answers of the served model within {manifest.certificate.tolerance:g}, got "
        f"{found.class_differences} other classes, {found.flag_differences} other flags and a "
        f"difference of {found.max_difference:.3g} on {len(rows)} rows"
    )
    for name in built.files:
        (folder / name).unlink()
    if built.form == ONNX:
        raise CertificateFailed(f"{folder}: {reason}", remedy="please report this model")
    return EdgeForm(form=built.form, left_out=reason)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        try:
            write_whole(folder / name, data, mode=0o644)
        except OSError as err:
            raise PlatformError(
                f"{folder / name}: expected to write the file, got {first_line(err)}",
                remedy="free space, or name another folder",
            ) from err
