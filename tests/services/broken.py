"""Versions that are broken in one way each, and right in every other, digests included.

A broken version is made from a good one: its graph, its manifest or its files are damaged, and
the digests are computed again, so that a service that trusts only digests would serve it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MAX_MODEL_BYTES = 1_000_000
"""What the service of these tests takes at most."""
ENDLESS = 2**62

Damage = Callable[[Path], object]


def seal(directory: Path) -> str:
    """Let the manifest name the files as they are; gives its digest, as it is registered."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_bytes())
    files = sorted(p for p in directory.iterdir() if p != path)
    manifest["files"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    path.write_text(json.dumps(manifest))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_the_graph(directory: Path) -> None:
    (directory / "model.onnx").unlink()


def empty(directory: Path) -> None:
    (directory / "model.onnx").write_bytes(b"")


def of_one_column_less(directory: Path) -> None:
    """Schema and golden requests agree; the graph knows better."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    gone = manifest["schema"]["features"].pop()["name"]
    for golden in manifest["golden"]:
        del golden["features"][gone]
    (directory / "manifest.json").write_text(json.dumps(manifest))


def with_other_answers(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_bytes())
    for golden in manifest["golden"]:
        golden["scores"].reverse()
    (directory / "manifest.json").write_text(json.dumps(manifest))


def oversized(directory: Path) -> None:
    edit(directory, lambda model: setattr(model, "doc_string", "x" * MAX_MODEL_BYTES))


def answering_nan(directory: Path) -> None:
    add(
        directory,
        [helper.make_node("Add", ["right", "nan"], ["scores"])],
        {"nan": np.float32("nan")},
    )


def unknown(directory: Path) -> None:
    add(directory, [helper.make_node("Teleport", ["right"], ["scores"])], {})


def of_a_fixed_batch(directory: Path) -> None:
    """It takes as many rows as there are golden requests, and no other number."""
    ones = np.ones((16, 2), np.float32)
    add(directory, [helper.make_node("Mul", ["right", "ones"], ["scores"])], {"ones": ones})


def of_an_even_batch(directory: Path) -> None:
    """It takes rows in pairs, and no single one."""
    nodes = [
        helper.make_node("Reshape", ["right", "pairs"], ["paired"]),
        helper.make_node("Reshape", ["paired", "rows"], ["scores"]),
    ]
    shapes = {"pairs": np.array([-1, 4], np.int64), "rows": np.array([-1, 2], np.int64)}
    add(directory, nodes, shapes)


def without_end(directory: Path) -> None:
    """A loop before the answer, which would be right after some centuries."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Identity", ["x"], ["same"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["times", "", "right"], ["scores"], body=body)
    add(directory, [loop], {"times": np.int64(ENDLESS)})


def taking_all_memory(directory: Path) -> None:
    """Sixteen gigabytes of zeros, of which the largest is added to each score."""
    nodes = [
        helper.make_node("ConstantOfShape", ["many"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Add", ["right", "zero"], ["scores"]),
    ]
    add(directory, nodes, {"many": np.array([4 * 2**30], np.int64)})


def with_many_classes(directory: Path) -> None:
    """Far more classes than the graph has scores."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["task"] = "multiclass"
    manifest["classes"] = [f"class {n}" for n in range(2000)]
    (directory / "manifest.json").write_text(json.dumps(manifest))


def with_an_unprintable_class(directory: Path) -> None:
    """It would be a label in /metrics, and a word on terminals."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["classes"][1] = "\x1b[31myes"
    (directory / "manifest.json").write_text(json.dumps(manifest))


def with_external_data(directory: Path) -> None:
    """The right numbers, in a file outside; only their location is wrong."""
    outside = directory.parent / "outside.bin"

    def moved(model: Any) -> None:
        tensor = model.graph.initializer[0]
        outside.write_bytes(numpy_helper.to_array(tensor).tobytes())
        point_outside(tensor, str(outside))

    edit(directory, moved)


KINDS: dict[str, tuple[Damage, str]] = {
    "schema": (of_one_column_less, "expected scores for golden requests, got"),
    "missing file": (without_the_graph, "model.onnx: expected a file, got nothing"),
    "hanging load": (without_end, "did not load and answer within"),
    "wrong golden answers": (with_other_answers, "golden request"),
    "many classes": (with_many_classes, "golden: expected 2000 scores in each"),
    "unprintable class": (with_an_unprintable_class, "names: expected printable characters"),
    "NaN outputs": (answering_nan, "got [nan, nan]"),
    "oversized": (oversized, f"expected a model directory of at most {MAX_MODEL_BYTES} bytes"),
    "external data path": (with_external_data, "outside.bin"),
    "unknown operator": (unknown, "Teleport"),
    "empty": (empty, "expected an ONNX model that loads"),
    "all memory": (taking_all_memory, "expected scores for golden requests, got"),
    "fixed batch": (of_a_fixed_batch, "expected scores for golden requests, got"),
    "even batch": (of_an_even_batch, "expected scores for golden requests, got"),
}
"""How each is damaged, and what is said of it. `digest` is made after sealing."""


def point_outside(tensor: Any, location: str) -> None:
    """Let a tensor have its numbers in a file."""
    for field in ("raw_data", "float_data", "int64_data", "int32_data", "string_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value="0")


def edit(directory: Path, change: Callable[[Any], None]) -> None:
    """Change the graph by the library of those who define the format."""
    path = directory / "model.onnx"
    model = onnx.load_from_string(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())


def add(directory: Path, nodes: list[Any], constants: Mapping[str, Any]) -> None:
    """Let these nodes make `scores` of what was so before, and is called `right`."""

    def added(model: Any) -> None:
        for node in model.graph.node:
            for index, name in enumerate(node.output):
                if name == "scores":
                    node.output[index] = "right"
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
        )

    edit(directory, added)
