"""The Python source of a drafted recipe, to be read and edited."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from contracts.feature import Feature
from contracts.printable import printable
from contracts.timestamps import timestamp_text
from training.drafting.draft import Draft

LINE = 100
SMALL_TABLE = 1_000
CONSTRUCTORS = {
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "category": "category",
    "timestamp": "timestamp",
}


def recipe_text(name: str, draft: Draft, root: Path) -> str:
    """The text of `training/recipes/<name>.py`; `root` is the folder that holds `training/`."""
    return "\n".join(
        [
            *_head(draft),
            "",
            *_data_lines(draft, root),
            "",
            *_schema_lines(draft),
            "",
            "",
            *_load_lines(draft),
            "",
            "",
            *_estimator_lines(draft),
            "",
            "",
            *_recipe_lines(name, draft),
            "",
        ]
    )


def _head(draft: Draft) -> Iterator[str]:
    kind = "Classifier" if draft.target.classes else "Regressor"
    constructors = sorted({_constructor(each.feature) for each in draft.columns if each.feature})
    reader = "read_parquet" if draft.source.is_parquet else "read_csv"
    about = f"Predicts {_comment(draft.target.name)[:50]}; drafted by `slipway new`, yours to edit"
    yield f'"""{about}."""'
    yield ""
    yield "from pathlib import Path"
    yield "from typing import Any"
    yield ""
    yield "import pandas as pd"
    yield f"from sklearn.ensemble import HistGradientBoosting{kind}"
    yield ""
    yield f"from contracts.schema import Schema, {', '.join(constructors)}"
    yield f"from training.dataset import {reader}"
    yield "from training.recipe import Gate, Recipe"


def _data_lines(draft: Draft, root: Path) -> Iterator[str]:
    path = draft.source.path.resolve()
    if path.is_relative_to(root.resolve()):
        inside = path.relative_to(root.resolve()).as_posix()
        yield f"DATA = Path(__file__).parents[2] / {_text(inside)}"
    else:
        yield f"DATA = Path({_text(str(path))})"


def _schema_lines(draft: Draft) -> Iterator[str]:
    yield "# policy: flag uses a value outside of the range or list and flags the prediction;"
    yield "# reject refuses the request; clip moves a number to the nearest bound."
    yield "SCHEMA = Schema("
    yield "    features=("
    for column in draft.columns:
        for doubt in column.doubts:
            yield f"        # doubt: {_comment(doubt)}"
        if column.feature is not None:
            yield from (f"        {line}" for line in _feature_lines(column.feature))
        else:
            yield f"        # left out: {_comment(column.name)}: {_comment(column.left_out)}"
    yield "    )"
    yield ")"


def _constructor(feature: Feature) -> str:
    return "string" if feature.max_categories else CONSTRUCTORS[feature.type]


def _own_arguments(feature: Feature) -> Iterator[str]:
    """The arguments that only features of its type have."""
    if feature.type in {"int", "float"}:
        yield from (_number(feature.minimum), _number(feature.maximum), 'unit=""')
    if feature.max_categories:
        yield f"max_categories={feature.max_categories}"
    elif feature.is_category:
        yield f"[{', '.join(map(_text, feature.categories))}]"
    if feature.is_timestamp:
        yield f"parts={_value(feature.parts)}"
        yield f"time_zone={_text(feature.time_zone)}"
    if "days_since" in feature.parts:
        yield f"since={_text(timestamp_text(feature.since)[:10])}"


def _feature_lines(feature: Feature) -> list[str]:
    arguments = [_text(feature.name), *_own_arguments(feature)]
    if feature.nullable:
        arguments.append("nullable=True")
    if feature.type not in {"bool", "timestamp"} and not feature.max_categories:
        arguments.append(f"policy={_text(feature.policy)}")
    constructor = _constructor(feature)
    line = f"{constructor}({', '.join(arguments)}),"
    if len(line) + 8 <= LINE:
        return [line]
    wrapped = [f"{constructor}("]
    for argument in arguments:
        if argument.startswith("["):
            wrapped += ["    [", *(f"        {_text(c)}," for c in feature.categories), "    ],"]
        else:
            wrapped.append(f"    {argument},")
    return [*wrapped, "),"]


def _load_lines(draft: Draft) -> Iterator[str]:
    arguments = "".join(f", {key}={_value(value)}" for key, value in draft.source.arguments.items())
    call = "read_parquet(DATA)" if draft.source.is_parquet else f"read_csv(DATA, SCHEMA{arguments})"
    steps = [*draft.target.filters]
    for name, form in draft.dates.items():
        if form != "ISO8601":
            column = f"table[{_text(name)}]"
            steps.append(f"table[{_text(name)}] = pd.to_datetime({column}, format={_text(form)})")
    yield "def load() -> pd.DataFrame:"
    yield '    """The rows of the file."""'
    if not steps:
        yield f"    return {call}"
        return
    yield f"    table = {call}"
    yield from (f"    {step}" for step in steps)
    yield "    return table"


def _estimator_lines(draft: Draft) -> Iterator[str]:
    kind = "Classifier" if draft.target.classes else "Regressor"
    small = "min_samples_leaf=5" if draft.n_rows < SMALL_TABLE else ""
    yield "def estimator() -> Any:"
    yield '    """Gradient boosted trees: a good baseline on tables, missing values included."""'
    yield f"    return HistGradientBoosting{kind}({small})"


def _recipe_lines(name: str, draft: Draft) -> Iterator[str]:
    target = draft.target
    yield "recipe = Recipe("
    yield f"    description={_text(f'{name}: predicts {target.name}')},"
    yield "    schema=SCHEMA,"
    yield "    load=load,"
    yield f"    target={_text(target.name)},"
    yield f'    task="{target.task}",'
    if target.classes:
        note = "  # the second is the positive class" if target.task == "binary" else ""
        line = f"    classes=({', '.join(map(_text, target.classes))}),{note}"
        if len(line) <= LINE:
            yield line
        else:
            yield from (
                "    classes=(",
                *(f"        {_text(c)}," for c in target.classes),
                "    ),",
            )
    else:
        yield '    unit="",'
    yield "    estimator=estimator,"
    yield f"    gates=({_gate(draft)},),"
    if draft.time:
        yield f"    time={_text(draft.time)},"
    if draft.group:
        yield f"    group={_text(draft.group)},"
    yield ")"


def _gate(draft: Draft) -> str:
    """What is better than a constant: the most frequent class, or the mean."""
    if draft.target.task == "binary":
        return 'Gate("roc_auc", minimum=0.5)'
    if draft.target.task == "multiclass":
        return f'Gate("accuracy", minimum={math.floor(draft.target.share * 100) / 100})'
    return 'Gate("r2", minimum=0.0)'


def _text(value: str) -> str:
    """A string literal; JSON's spelling is Python's too."""
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _value(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return _text(value)
    return f"({', '.join(map(_text, value))}{',' * (len(value) == 1)})"


def _comment(text: str) -> str:
    return printable(text).replace('"""', "'''").replace("\\", "/")


def _number(value: float | None) -> str:
    if value is None:
        return "None"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - below, all digits are exact
