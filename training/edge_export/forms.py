"""Each form of an exported model, run on this machine: its answers, and its time per row."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.edge_model import FLAG_NAMES, EdgeModel
from contracts.errors import first_line
from contracts.manifest import Manifest
from training.edge_export.agreement import REFUSED_CLASS, Answers, FeatureRow, answers_of_scores
from training.onnx_session import OnnxSession

GRAPH_FILE = "model.onnx"
EXAMPLE_C = "example.c"
PLAIN_NODE = "plain_node.mjs"
RUN_TIMEOUT_S = 120.0
TIMED_ROWS = 200
REPETITIONS = 20
COMPILERS = ("cc", "gcc", "clang")
COMPILE_OPTIONS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off")


class CannotRun(Exception):
    """A form cannot run on this machine; the text says why."""


@dataclass(frozen=True)
class FormRun:
    """What a form answered to rows, and how long it took for one, in microseconds."""

    answers: Answers
    microseconds_per_row: float


def run_graph(
    folder: Path, model: EdgeModel, manifest: Manifest, rows: Sequence[FeatureRow]
) -> FormRun:
    """The graph in ONNX Runtime, all rows at once; timed one row at a time."""
    session = OnnxSession((folder / GRAPH_FILE).read_bytes())
    found = session.run_named(list(model.outputs), graph_inputs(model, rows))
    outputs = dict(zip(model.outputs, found, strict=True))
    texts = [*manifest.classes, ""]
    classes = (
        np.array([texts.index(text) for text in outputs["prediction"]])
        if manifest.classes
        else np.zeros(len(rows), dtype=np.int64)
    )
    scores = outputs["scores"].astype(np.float64)
    refused = np.isnan(scores).any(axis=1)
    answers = Answers(
        np.where(refused, REFUSED_CLASS, classes), outputs["flags"].astype(np.int64), scores
    )
    single = [graph_inputs(model, [row]) for row in rows[:TIMED_ROWS]]
    begun = time.perf_counter()
    for inputs in single:
        session.run_named(list(model.outputs), inputs)
    return FormRun(answers, 1e6 * (time.perf_counter() - begun) / len(single))


def graph_inputs(model: EdgeModel, rows: Sequence[FeatureRow]) -> dict[str, NDArray[Any]]:
    """Rows as the inputs of the graph, `(n_rows, 1)` each."""
    inputs: dict[str, NDArray[Any]] = {}
    for feature in model.schema.features:
        values = [row.get(feature.name) for row in rows]
        if feature.is_category:
            texts = [model.missing_text if value is None else value for value in values]
            column = np.array(texts, dtype=object)
        else:
            numbers = [np.nan if value is None else float(value) for value in values]
            column = np.array(numbers, dtype=np.float64)
        inputs[model.inputs[feature.name]] = column.reshape(-1, 1)
    return inputs


def run_c(
    folder: Path, model: EdgeModel, manifest: Manifest, rows: Sequence[FeatureRow]
) -> FormRun:
    """The C form, compiled here.

    Raises:
        CannotRun: there is no C compiler, or it refuses the source.

    """
    del manifest  # the program decides itself
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise CannotRun(f"no C compiler ({', '.join(COMPILERS)})")
    texts = [text for feature in model.schema.features for text in feature.categories]
    if any(set(text) & set("\t\n\r") for text in texts):
        raise CannotRun("example.c reads no category that has a tab or a line end")
    lines = [_tab_separated(model, row) for row in rows]
    with tempfile.TemporaryDirectory() as place:
        program = str(Path(place) / "example")
        sources = [str(folder / f"{model.name}.c"), str(folder / EXAMPLE_C)]
        _output([compiler, *COMPILE_OPTIONS, *sources, "-lm", "-o", program], "", folder)
        done = _output([program, str(REPETITIONS)], "".join(lines), folder)
    cells = [line.split("\t") for line in done.stdout.splitlines()]
    flags = np.array([[int(flag) for flag in cell[1]] for cell in cells])
    scores = np.array([[float(score) for score in cell[2:]] for cell in cells])
    answers = Answers(np.array([int(cell[0]) for cell in cells]), flags, scores)
    return FormRun(answers, float(done.stderr) / 1000)


def run_javascript(
    folder: Path, model: EdgeModel, manifest: Manifest, rows: Sequence[FeatureRow]
) -> FormRun:
    """The JavaScript module in Node.js.

    Raises:
        CannotRun: there is no Node.js, or the module fails.

    """
    node = shutil.which("node")
    if node is None:
        raise CannotRun("no Node.js (node)")
    done = _output([node, PLAIN_NODE, str(REPETITIONS)], json_lines(rows), folder)
    answers = json_answers(model, manifest, done.stdout)
    return FormRun(answers, float(done.stderr) / 1000)


def json_lines(rows: Sequence[FeatureRow]) -> str:
    """Rows as the examples for Node.js read them."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def json_answers(model: EdgeModel, manifest: Manifest, text: str) -> Answers:
    """The answers that the examples for Node.js print, one JSON document per line."""
    answers = [json.loads(line) for line in text.splitlines()]
    names = list(model.schema.names)
    flags = np.zeros((len(answers), len(names)), dtype=np.int64)
    n_outputs = len(manifest.classes or manifest.outputs)
    scores = np.full((len(answers), n_outputs), np.nan)
    for index, answer in enumerate(answers):
        named = [flag.partition(":")[::2] for flag in answer["flags"]]
        for flag, name in [*named, *(("refused", name) for name in answer["refused"])]:
            flags[index, names.index(name)] = FLAG_NAMES.index(flag)
        if answer["scores"]:
            scores[index] = answer["scores"]
    decided = answers_of_scores(manifest, flags, scores)
    if not manifest.classes:
        return decided
    texts = [*manifest.classes, None]
    found = np.array([texts.index(answer["prediction"]) for answer in answers])
    classes = np.where(found == len(manifest.classes), REFUSED_CLASS, found)
    return Answers(classes, flags, decided.scores)


def _tab_separated(model: EdgeModel, row: FeatureRow) -> str:
    """A row as `example.c` reads it."""
    cells = []
    for feature in model.schema.features:
        value = row.get(feature.name)
        if value is None:
            cells.append("")
        elif feature.is_category:
            cells.append(str(value))
        else:
            cells.append(repr(float(value)))
    return "\t".join(cells) + "\n"


def _output(command: Sequence[str], text: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    try:
        done = subprocess.run(
            command,
            input=text,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise CannotRun(f"{Path(command[0]).name}: {first_line(err)}") from err
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise CannotRun(f"{Path(command[0]).name} ended with {done.returncode}: {said[0]}")
    return done
