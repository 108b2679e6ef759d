"""A model as C99 without allocation: a header, a source file, and a program that uses both."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from contracts.edge_model import EdgeModel
from contracts.schema import MISSING_CODE, UNSEEN_CODE
from training.edge_export.program import CellKind, Cells, Program

TEMPLATES = Path(__file__).parent / "templates"
TYPES: Mapping[CellKind, str] = {
    "f32": "float",
    "f64": "double",
    "i32": "int32_t",
    "i16": "int16_t",
    "u16": "uint16_t",
    "u8": "uint8_t",
}
DIGITS: Mapping[CellKind, int] = {"f32": 9, "f64": 17}
"""Digits that read back as the same number."""
LINE_CHARS = 96
POLICIES = ("reject", "clip", "flag")
KIND_NUMBERS = {"float": 0, "int": 1, "bool": 2, "category": 3}


def c_files(program: Program, model: EdgeModel) -> dict[str, bytes]:
    """The files of the C form, by name: `<name>.h`, `<name>.c` and `example.c`."""
    words = {
        "name": model.name,
        "NAME": model.name.upper(),
        "version": str(model.version),
        "digest": model.digest,
        "n_features": str(len(model.schema.features)),
        "n_scores": str(program.scores.size),
        "n_classes": str(len(model.classes)),
        "feature_names": _listed(
            f"{model.name.upper()}_{each}" for each in _identifiers(model.schema.names)
        ),
        "feature_texts": _listed(map(_quoted, model.schema.names)),
        "class_texts": _listed(map(_quoted, [*model.classes, ""])),
        "matrix_type": TYPES[program.features.kind],
        "constants": "\n".join(_constant(*each) for each in program.constants),
        "results": "\n".join(f"    {_declared(each)};" for each in program.results),
        "statements": "\n".join(f"    {line}" for line in program.statements),
        "decision": _decision(model),
        **_schema_words(model),
    }
    names = {"model.h": f"{model.name}.h", "model.c": f"{model.name}.c", "example.c": "example.c"}
    return {
        target: Template((TEMPLATES / f"{name}.txt").read_text()).substitute(words).encode()
        for name, target in names.items()
    }


def _schema_words(model: EdgeModel) -> dict[str, str]:
    """The tables by which a row is checked and encoded."""
    features = model.schema.features
    columns = model.schema.columns
    starts = np.cumsum([0, *(len(f.categories) for f in features)]).tolist()
    texts = [text for feature in features for text in feature.categories]
    return {
        "kinds": _listed(str(KIND_NUMBERS[f.type]) for f in features),
        "is_category": _listed(str(int(f.is_category)) for f in features),
        "policies": _listed(str(POLICIES.index(f.policy)) for f in features),
        "optional": _listed(str(int(f.nullable)) for f in features),
        "lows": _listed(_number(f.low, "f64") for f in features),
        "highs": _listed(_number(f.high, "f64") for f in features),
        "columns": _listed(str(columns.index(f)) for f in features),
        "category_starts": _listed(map(str, starts)),
        "categories": _listed(map(_quoted, [*texts, ""])),
        "missing_code": _number(MISSING_CODE, "f64"),
        "unseen_code": _number(UNSEEN_CODE, "f64"),
    }


def _decision(model: EdgeModel) -> str:
    """The statements that return the index of the class."""
    if not model.classes:
        return "    return 0;"
    if model.threshold is not None:
        threshold = _number(model.threshold, "f64")
        return f"    return (double)scores[1] >= {threshold};"
    return (
        f"    for (i = 1, best = 0; i < {len(model.classes)}; i++) "
        "if (scores[i] > scores[best]) best = i;\n    return best;"
    )


def _declared(cells: Cells) -> str:
    return f"{TYPES[cells.kind]} {cells.name}[{max(cells.size, 1)}]"


def _constant(cells: Cells, values: Any) -> str:
    numbers = (_number(value, cells.kind) for value in values.ravel().tolist())
    return f"static const {_declared(cells)} = {{\n{_listed(numbers)}\n}};"


def _number(value: float, kind: CellKind) -> str:
    if kind not in DIGITS:
        return str(int(value))
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.{DIGITS[kind]}g}"
    text = text if any(sign in text for sign in ".e") else f"{text}.0"
    return f"{text}f" if kind == "f32" else text


def _listed(items: Iterable[str]) -> str:
    """Items with commas between them, in lines."""
    lines: list[str] = []
    line = ""
    for item in items:
        if line and len(line) + len(item) > LINE_CHARS:
            lines.append(line)
            line = ""
        line += f"{' ' if line else '    '}{item},"
    return "\n".join([*lines, line]) if line else "    0"


def _quoted(text: str) -> str:
    r"""A string literal of C in plain ASCII.

    >>> print(_quoted('größe "x"'))
    "gr\303\266\303\237e \"x\""
    """
    return '"' + "".join(map(_escaped, text.encode())) + '"'


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return f"\\{chr(byte)}"
    # A question mark could begin a trigraph.
    if 32 <= byte < 127 and byte != ord("?"):  # noqa: PLR2004 - printable ASCII
        return chr(byte)
    return f"\\{byte:03o}"


def _identifiers(names: Sequence[str]) -> list[str]:
    """Upper-case identifiers of C for these names, each once.

    >>> _identifiers(["income", "3P%", "fixed acidity", "3p?"])
    ['INCOME', 'F_3P', 'FIXED_ACIDITY', 'F_3P_2']
    """
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "FEATURE"
        plain = f"F_{plain}" if plain[0].isdigit() else plain
        unique, count = plain, 1
        while unique in found:
            count += 1
            unique = f"{plain}_{count}"
        found.append(unique)
    return found
