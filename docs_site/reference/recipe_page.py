"""`recipe.md`: the fields of a recipe, the kinds of features, gates, threshold rules, metrics."""

import dataclasses
import inspect
import re
from datetime import timedelta
from typing import Any, Literal, get_args, get_origin

import contracts.feature
from contracts.feature import Feature
from docs_site.reference.markdown import (
    attributes,
    code,
    joined,
    page_head,
    prose,
    table,
)
from training.metrics import METRICS, MetricDefinition
from training.recipe import RENAMED, Gate, Recipe
from training.threshold_rule import Cost, FScore

SET_BY_SLIPWAY = {"name", "threshold_rule"}
"""Fields that no file sets."""
INTRODUCTION = """\
A recipe is one file, `training/recipes/<name>.py`, that defines `recipe = Recipe(...)`.
[Add a model](../add-a-model.md) shows how to write one."""
POLICIES = """\
`policy` says what happens to a value outside the range or the list: `reject` refuses the request
with a 4xx, `clip` moves a number to the nearest bound and flags the prediction, `flag` passes the
value on and flags the prediction. `nullable=True` allows a missing value. `unit` and `description`
are for people."""
NAMED_METRICS = """\
A gate names one of these, by task. Every classifier has decisions; `margin` needs an estimator with
`decision_function` or probabilities, and `probability` one with `predict_proba`."""


def recipe_page() -> str:
    """The page as Markdown."""
    lines = [*page_head("Recipe", INTRODUCTION), "## Fields", ""]
    lines += table(["field", "type", "default", "meaning"], _fields())
    old = ", ".join(f"`{name}` (now `{new}`)" for name, new in RENAMED.items())
    lines += [f"Earlier names still work in this release, with a warning: {old}.", ""]
    lines += ["## Kinds of features", "", joined(POLICIES), "", *_kinds()]
    lines += ["## Gates and thresholds", "", *_small_classes(Gate, Cost, FScore)]
    lines += ["## Metrics", "", joined(NAMED_METRICS), ""]
    lines += table(["task", "metric", "better if", "what it needs of a classifier"], _metrics())
    return "\n".join(lines)


def _fields() -> list[list[str]]:
    meanings = attributes(Recipe.__doc__)
    return [
        [code(each.name), code(_annotation(each.type)), _default(each), meanings[each.name]]
        for each in dataclasses.fields(Recipe)
        if each.name not in SET_BY_SLIPWAY
    ]


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is dataclasses.MISSING:
        return "required"
    if isinstance(field.default, timedelta):
        return code(f"timedelta({field.default.days})")
    return code(repr(field.default))


def _annotation(kind: Any) -> str:
    """The type as it is written, without the names of modules; alternatives as words.

    >>> _annotation(tuple[str, ...]), _annotation(float | None), _annotation(Literal["a", "b"])
    ('tuple[str, ...]', 'float or None', "'a' or 'b'")
    """
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    shown = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", shown).replace(" | ", " or ")


def _kinds() -> list[str]:
    """Each function of `contracts.feature` that makes a feature, with its signature."""
    lines: list[str] = []
    for name, function in vars(contracts.feature).items():
        is_own = inspect.isfunction(function) and function.__module__ == contracts.feature.__name__
        if is_own and inspect.signature(function).return_annotation is Feature:
            called = ", ".join(
                _parameter(p) for p in inspect.signature(function).parameters.values()
            )
            lines += [f"### {name}", "", code(f"{name}({called})"), "", prose(function.__doc__), ""]
    return lines


def _parameter(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return parameter.name
    return f"{parameter.name}={parameter.default!r}"


def _small_classes(*classes: type) -> list[str]:
    rows = []
    for each in classes:
        fields = ", ".join(
            f.name if f.default is dataclasses.MISSING else f"{f.name}={f.default!r}"
            for f in dataclasses.fields(each)
        )
        rows.append([code(f"{each.__name__}({fields})"), prose(each.__doc__)])
    return table(["class", "meaning"], rows)


def _metrics() -> list[list[str]]:
    return [
        [task, code(name), _better(metric), "" if task == "regression" else metric.needs]
        for task, metrics in METRICS.items()
        for name, metric in metrics.items()
    ]


def _better(metric: MetricDefinition) -> str:
    return "higher" if metric.greater_is_better else "lower"
