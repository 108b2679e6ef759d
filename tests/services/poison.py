"""A version that passes every check, and misbehaves on rows whose age ends in .5."""

import hashlib
import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import onnx
from onnx import helper, numpy_helper

from contracts.manifest import Manifest
from contracts.names import MODEL_INPUT, MODEL_OUTPUT, TAG_DIGEST

HEAVY = 600


def poisoned(client: mlflow.MlflowClient, how: str) -> int:
    """A new version like the first that will `fail`, `flip`, be `slow` or `behave`."""
    stored = client.get_model_version("tiny", "1")
    trained = client.get_run(stored.run_id)
    run = client.create_run(trained.info.experiment_id)
    directory = _directory(run)
    shutil.copytree(_directory(trained), directory)
    path = directory / "model.onnx"
    model = onnx.load(str(path))
    _spoil(model.graph, how)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["files"]["model.onnx"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest["run_id"] = run.info.run_id
    data = Manifest.read(json.dumps(manifest).encode()).write_pretty()
    (directory / "manifest.json").write_bytes(data)
    tags = {TAG_DIGEST: hashlib.sha256(data).hexdigest()}
    source = str(directory)
    return int(client.create_model_version("tiny", source, run.info.run_id, tags=tags).version)


def _directory(run: mlflow.entities.Run) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / "model_directory"


def _spoil(graph: onnx.GraphProto, how: str) -> None:
    """Replace the scores of rows whose first column ends in .5."""
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name == MODEL_OUTPUT:
                node.output[index] = "true_scores"
    constants = {"zero": np.array([0], np.int64), "half": np.array([0.5], np.float32)}
    constants["nan"] = np.array([np.nan], np.float32)
    constants["one"] = np.array([1.0], np.float32)
    constants["side"] = np.full((1, HEAVY), 1e-3, np.float32)
    constants["square"] = np.full((HEAVY, HEAVY), 1e-3, np.float32)
    constants["axis"] = np.array([1], np.int64)
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    nodes = [
        helper.make_node("Gather", [MODEL_INPUT, "zero"], ["age"], axis=1),
        helper.make_node("Floor", ["age"], ["whole"]),
        helper.make_node("Sub", ["age", "whole"], ["rest"]),
        helper.make_node("Equal", ["rest", "half"], ["is_odd"]),
    ]
    if how == "flip":
        nodes.append(helper.make_node("Sub", ["one", "true_scores"], ["other"]))
    elif how == "behave":
        nodes.append(helper.make_node("Identity", ["true_scores"], ["other"]))
    elif how == "fail":
        nodes.append(helper.make_node("Add", ["true_scores", "nan"], ["other"]))
    else:
        nodes.append(helper.make_node("MatMul", ["rest", "side"], ["work0"]))
        nodes += [
            helper.make_node("MatMul", [f"work{i}", "square"], [f"work{i + 1}"]) for i in range(60)
        ]
        nodes.append(helper.make_node("ReduceMin", ["work60", "axis"], ["least"], keepdims=1))
        nodes.append(helper.make_node("Min", ["least", "least"], ["small"]))
        nodes.append(helper.make_node("Sub", ["small", "small"], ["nothing"]))
        nodes.append(helper.make_node("Add", ["true_scores", "nothing"], ["other"]))
    nodes.append(helper.make_node("Where", ["is_odd", "other", "true_scores"], [MODEL_OUTPUT]))
    graph.node.extend(nodes)
