"""A model as one JavaScript module without dependencies, for browsers and Node.js."""

import base64
import json
from collections.abc import Mapping
from string import Template
from typing import Any

import msgspec

from contracts.edge_model import EdgeModel
from contracts.schema import FLOAT32_MAX, MISSING_CODE, UNSEEN_CODE
from training.edge_export.c_source import TEMPLATES
from training.edge_export.program import CellKind, Cells, Program

MODULE_FILE = "model.mjs"
ARRAYS: Mapping[CellKind, str] = {
    "f32": "Float32Array",
    "f64": "Float64Array",
    "i32": "Int32Array",
    "i16": "Int16Array",
    "u16": "Uint16Array",
    "u8": "Uint8Array",
}
MAX_SPELT_NUMBERS = 32
"""Longer constants are written in base64."""


def javascript_module(program: Program, model: EdgeModel) -> bytes:
    """The module; it exports `predict(row)`, `classes` and `features`."""
    words = {
        "name": model.name,
        "version": str(model.version),
        "digest": model.digest,
        "features": json.dumps(_described(model), indent=2, ensure_ascii=False),
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "outputs": json.dumps(model.value_names, ensure_ascii=False),
        "threshold": json.dumps(model.threshold),
        "matrix_array": ARRAYS[program.features.kind],
        "n_features": str(len(model.schema.features)),
        "n_scores": str(program.scores.size),
        "constants": "\n".join(_constant(*each) for each in program.constants),
        "results": "\n".join(
            f"const {each.name} = new {ARRAYS[each.kind]}({max(each.size, 1)});"
            for each in program.results
        ),
        "statements": "\n".join(f"  {line}" for line in program.statements),
        "float32_max": repr(float(FLOAT32_MAX)),
        "missing_code": repr(MISSING_CODE),
        "unseen_code": repr(UNSEEN_CODE),
    }
    text = (TEMPLATES / f"{MODULE_FILE}.txt").read_text()
    return Template(text).substitute(words).encode()


def _described(model: EdgeModel) -> list[dict[str, Any]]:
    """What the module must know of each feature."""
    columns = model.schema.columns
    return [
        {
            "name": feature.name,
            "type": feature.type,
            "policy": feature.policy,
            "nullable": feature.nullable,
            "low": feature.low,
            "high": feature.high,
            "column": columns.index(feature),
            "categories": msgspec.to_builtins(feature.categories),
        }
        for feature in model.schema.features
    ]


def _constant(cells: Cells, values: Any) -> str:
    kind = ARRAYS[cells.kind]
    numbers = values.ravel()
    if numbers.size <= MAX_SPELT_NUMBERS:
        spelt = ", ".join(_number(value) for value in numbers.tolist())
        return f"const {cells.name} = {kind}.of({spelt});"
    little = numbers.astype(numbers.dtype.newbyteorder("<"))
    text = base64.b64encode(little.tobytes()).decode()
    return f'const {cells.name} = unpacked({kind}, "{text}");'


def _number(value: float) -> str:
    """A number as JavaScript spells it."""
    text = repr(value)
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)
