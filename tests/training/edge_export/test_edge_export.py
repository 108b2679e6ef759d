"""`slipway export --to edge`: each form answers like the served model, or is left out."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace as replace_fields
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contracts.edge_model import REFUSED_FLAG, EdgeModel
from contracts.errors import InvalidRecipe, PlatformError
from contracts.manifest import Pointer
from contracts.names import MANIFEST_FILE, MODEL_FILE, SAMPLE_FILE
from contracts.schema import Schema, boolean, category, number, timestamp
from services.inference.loader import load_model
from services.inference.rows import model_input
from services.protocols.batch import batch_rows
from slipway.app import run_command_line
from tests import tiny
from tests.conftest import Workplace
from tests.training.edge_export.versions import read_manifest, write_version
from training.edge_export import export as export_module
from training.edge_export.agreement import COMPARED_ROWS, compared_rows
from training.edge_export.export import export_edge
from training.edge_export.forms import graph_inputs
from training.edge_export.operators import STATEMENTS
from training.edge_export.program import program_of
from training.onnx_session import OnnxSession
from training.recipe import Recipe
from training.run import train_recipe

WHOLE: dict[str, Any] = {"schema": tiny.WHOLE, "load": tiny.whole_people}


def multiclass(estimator: Callable[[], Any]) -> Recipe:
    return replace(tiny.multiclass(), estimator=estimator)


def network() -> Any:
    return make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=2000))


RECIPES: dict[str, Callable[[], Recipe]] = {
    "linear": tiny.binary,
    "softmax": lambda: multiclass(lambda: make_pipeline(StandardScaler(), LogisticRegression())),
    "forest": lambda: tiny.binary("tiny", lambda: RandomForestClassifier(8, max_depth=4), **WHOLE),
    "forest of three": lambda: multiclass(lambda: RandomForestClassifier(5, max_depth=4)),
    "histogram": lambda: tiny.binary("tiny", lambda: HistGradientBoostingClassifier(max_iter=8)),
    "histogram of three": tiny.multiclass,
    "boosting": lambda: tiny.binary(
        "tiny", lambda: GradientBoostingClassifier(n_estimators=8), **WHOLE
    ),
    "scaled forest": lambda: tiny.binary(
        "tiny", lambda: make_pipeline(StandardScaler(), RandomForestClassifier(8)), **WHOLE
    ),
    "ridge": lambda: replace(
        tiny.regression(), estimator=lambda: make_pipeline(StandardScaler(), Ridge())
    ),
    "values": tiny.pair,
    "network": lambda: tiny.binary("tiny", network, **WHOLE),
}


@dataclass(frozen=True)
class Exported:
    """A version, its export and their folders."""

    directory: Path
    pointer: Pointer
    model: EdgeModel
    folder: Path


def exported(recipe: Recipe, root: Path) -> Exported:
    pointer = write_version(recipe, root / "model")
    model = export_edge(root / "model", pointer, root / "edge")
    return Exported(root / "model", pointer, model, root / "edge")


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(tiny.binary(), tmp_path_factory.mktemp("linear"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_form_answers_like_the_served_model(name: str, tmp_path: Path) -> None:
    """1,000 rows, half of them with a value that is missing, out of range or unseen."""
    found = exported(RECIPES[name](), tmp_path)

    assert [form.form for form in found.model.forms] == ["onnx", "c", "javascript"]
    for form in found.model.forms:
        if form.left_out.startswith("not compared here"):
            assert not shutil.which("node" if form.form == "javascript" else "cc")
            continue
        assert not form.left_out
        assert form.rows == COMPARED_ROWS
        assert form.class_differences == form.flag_differences == 0
        assert form.max_difference <= found.model.tolerance
        assert form.microseconds_per_row
        assert all((found.folder / file).is_file() for file in form.files)
        assert 0 < form.gzip_bytes < 1_000_000


def test_the_graph_gives_the_scores_of_the_service_bit_for_bit(linear: Exported) -> None:
    """The service's own decoder and session on one side, the graph with everything in it here."""
    manifest = read_manifest(linear.directory)
    sample = pd.read_parquet(linear.directory / SAMPLE_FILE)
    schema = manifest.schema
    rows = [row for row in compared_rows(manifest, sample) if not schema.violations(row)]
    served = load_model(linear.directory, linear.pointer)
    body = json.dumps({"rows": rows}).encode()
    decoded = batch_rows(body, served.decoder, len(rows))
    expected = served.session.run(model_input([decoded], served.session.dtype))

    session = OnnxSession((linear.folder / "model.onnx").read_bytes())
    (scores,) = session.run_named(["scores"], graph_inputs(linear.model, rows))

    assert len(rows) > 500
    assert np.array_equal(scores, expected)


def test_a_row_that_breaks_the_schema_is_refused_in_the_graph(linear: Exported) -> None:
    rows = [
        tiny.GOOD | change
        for change in ({}, {"age": 17.0}, {"age": None}, {"lines": 0.5}, {"work": "maybe"})
    ]
    session = OnnxSession((linear.folder / "model.onnx").read_bytes())
    inputs = graph_inputs(linear.model, rows)

    predictions, scores, flags = session.run_named(linear.model.outputs, inputs)

    assert predictions.tolist() == ["no", "", "", "", ""]
    assert np.isnan(scores).any(axis=1).tolist() == [False, True, True, True, True]
    names = list(linear.model.schema.names)
    refused = [[names[i] for i in np.flatnonzero(row == REFUSED_FLAG)] for row in flags]
    assert refused == [[], ["age"], ["age"], ["lines"], ["work"]]


def test_any_feature_name_and_category_can_be_exported(tmp_path: Path) -> None:
    """Names of outputs, no identifiers of C, quotes, escapes, text beyond ASCII, empty text."""
    odd = ["", 'a "quoted" \\ ??/ text', "größe", "$name ${x} `code`"]
    schema = Schema(
        features=(
            number("scores", 18, 100),
            number("3P%", policy="flag"),
            boolean("größe"),
            category("flags", odd, nullable=True, policy="flag"),
            category("class", ["yes", "no"]),
        )
    )
    renamed = {"age": "scores", "lines": "3P%", "owner": "größe", "work": "class"}

    def load() -> pd.DataFrame:
        people = tiny.whole_people().rename(columns=renamed)
        return people.assign(flags=np.resize(np.array(odd, dtype=object), len(people)))

    recipe = tiny.binary(
        "int", lambda: RandomForestClassifier(4, max_depth=4), schema=schema, load=load
    )

    found = exported(recipe, tmp_path)

    assert [form.left_out for form in found.model.forms] == ["", "", ""]
    assert found.model.missing_text == "\x01"
    assert found.model.inputs["3P%"] == "3P%"
    assert found.model.inputs["scores"] != "scores"


def test_a_model_without_statements_is_exported_as_a_graph_alone(tmp_path: Path) -> None:
    neighbours = tiny.binary(
        "tiny", lambda: make_pipeline(StandardScaler(), KNeighborsClassifier()), **WHOLE
    )

    found = exported(neighbours, tmp_path)

    assert [bool(form.left_out) for form in found.model.forms] == [False, True, True]
    assert found.model.forms[1].left_out.startswith("no statements for ")
    assert not (found.folder / "model.mjs").exists()


def test_a_form_that_answers_differently_is_removed(
    linear: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter trusts no form: here the scaler's statements are wrong."""
    broken = {**STATEMENTS, "Scaler": STATEMENTS["Identity"]}
    monkeypatch.setattr(export_module, "STATEMENTS", broken)

    found = export_edge(linear.directory, linear.pointer, tmp_path / "edge")

    assert not found.forms[0].left_out
    for form in found.forms[1:]:
        assert "expected the answers of the served model within 1e-05, got" in form.left_out
    files = {path.name for path in (tmp_path / "edge").iterdir()}
    assert files.isdisjoint({"tiny.c", "tiny.h", "example.c", "model.mjs"})


def test_an_export_is_the_same_every_time(linear: Exported, tmp_path: Path) -> None:
    again = export_edge(linear.directory, linear.pointer, tmp_path / "edge")

    assert again.files == linear.model.files
    assert "edge.json" not in again.files
    assert EdgeModel.read((tmp_path / "edge" / "edge.json").read_bytes()) == again


def test_a_folder_with_files_is_left_alone(linear: Exported, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(PlatformError, match="expected an empty folder") as caught:
        export_edge(linear.directory, linear.pointer, tmp_path)

    assert caught.value.remedy == "name a new folder"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_version_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    pointer = write_version(tiny.binary(runtime="sklearn"), tmp_path / "model")

    with pytest.raises(InvalidRecipe, match="expected the runtime 'onnx', got 'sklearn'"):
        export_edge(tmp_path / "model", pointer, tmp_path / "edge")


def test_trees_are_stored_in_narrow_tables(linear: Exported, tmp_path: Path) -> None:
    """A forest takes fewer bytes in flash memory than its graph on disk."""
    del linear
    found = exported(RECIPES["forest"](), tmp_path)
    graph = (found.directory / MODEL_FILE).read_bytes()

    assert program_of(graph, STATEMENTS).n_bytes() < len(graph) / 2


def test_the_command_exports_a_version_of_the_registry(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    train_recipe(tiny.binary(), workplace.store)
    folder = workplace.root / "exported"

    assert run_command_line(["export", "tiny", str(folder), "--to", "edge", "--version", "1"]) == 0

    table = capsys.readouterr().out
    assert "tiny version 1" in table
    assert all(form in table for form in ("onnx", "javascript"))
    assert (folder / "model.onnx").is_file()
    assert run_command_line(["export", "tiny", str(folder), "--version", "1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["remedy"] == "name a new folder"


def test_a_version_with_timestamps_is_refused(linear: Exported, tmp_path: Path) -> None:
    manifest = read_manifest(linear.directory)
    schema = Schema(features=(*manifest.schema.features, timestamp("opened", parts=["hour"])))
    (tmp_path / MANIFEST_FILE).write_bytes(replace_fields(manifest, schema=schema).write())

    with pytest.raises(InvalidRecipe, match="expected features without timestamps, got opened"):
        export_edge(tmp_path, linear.pointer, tmp_path / "edge")
