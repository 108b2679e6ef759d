"""What a user writes: a recipe, one file per model."""

import difflib
import importlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, get_args

import numpy as np
import pandas as pd

from contracts.decision_rule import DecisionRule
from contracts.errors import InvalidRecipe, PlatformError
from contracts.manifest import CardNotes, Task
from contracts.names import check_model_name
from contracts.schema import Schema, normalized
from training.class_names import class_name
from training.compression_rule import Compression
from training.frameworks.extras import not_installed
from training.metrics import METRICS
from training.threshold_rule import Cost, FScore, ThresholdRule
from training.user_code import failed_at

RuntimeChoice = Literal["auto", "onnx", "sklearn"]
"""`auto`: ONNX if a form of it passes the certificate, else scikit-learn."""
RUNTIME_CHOICES: tuple[str, ...] = get_args(RuntimeChoice)
MAX_TOLERANCE = 0.01
"""A certificate that allows more proves nothing."""
RECIPES_FOLDER = Path(__file__).parent / "recipes"
RENAMED = {
    "slices": "gate_segment_features",
    "slice_tolerance": "segment_tolerance",
    "segments": "segment_features",
    "old_share": "old_data_share",
}
"""Fields of earlier releases and what they are called now; both work in this release."""
SPLIT_FIELDS = ("time", "group", "holdout")
"""Fields that name a column by which rows are held out; at random if all are empty."""


class SimulatedDrift(Protocol):
    """A change of the world, for demonstrations."""

    def __call__(self, rows: pd.DataFrame, rng: np.random.Generator, /) -> pd.DataFrame:
        """The rows as they would be after the change."""


@dataclass(frozen=True)
class Gate:
    """What a metric on the held-out rows must reach before a version may be promoted."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything a user says about a model; the platform derives the rest.

    Attributes:
        schema: The features, with their types, ranges and policies.
        target: The column of `load` that the model predicts. A regression may have several; the
            first is the `prediction` that the service returns.
        task: `binary`, `multiclass` or `regression`.
        load: Returns the rows, with the schema's features and the target: a table of pandas,
            polars or Arrow, or the path of a CSV or Parquet file.
        estimator: Returns an unfitted scikit-learn estimator or pipeline. It is fitted on a
            DataFrame of float32 columns named as in the schema, in which categories are integer
            codes and missing values NaN (`contracts.schema`). A classifier is fitted on the
            class names as strings; without `predict_proba` it is served with margins or
            decisions.
        gates: What metrics of the held-out rows must reach, such as
            `Gate("roc_auc", minimum=0.75)`. The metric of the first gate is the one on which
            promotion compares (docs/gate.md).
        classes: For a classifier, every value of the target, in the order of the scores. For
            `binary` the second is the positive class. Integers, booleans and whole floats may
            stand here as they are in the data; JSON has them as text: `"1"`, `"true"`.
        tolerance: The largest difference that the certificate allows between the served model
            and the fitted pipeline, of a probability or relative to a value; None is 1e-5
            (docs/certificate.md).
        threshold: The score from which on a binary model decides for the positive class; or
            `Cost(fp=1, fn=20)` or `FScore(beta=1)`, by which it is chosen on validation rows.
        unit: The unit of a regression's target, for people.
        description: One line, shown by MLflow and by the service.
        label_delay: How long after a prediction its true outcome is known, such as
            `timedelta(days=90)`. The monitor and retrainings leave predictions out that are
            younger, even if their labels have arrived.
        drift: Changes rows as the world might, for `slipway simulate --drifted`; by default
            numbers are shifted and categories moved.
        margin: The smallest improvement of the metric that counts at promotion (docs/gate.md).
        gate_segment_features: Categorical features; on each of their segments the metric must
            not fall by `segment_tolerance` or more.
        threshold_rule: Set from `threshold` where that is a rule.
        segment_tolerance: In the unit of the metric; needed with `gate_segment_features`.
        latency_factor: How many times as long as production's a prediction may take.
        segment_features: Categorical features by which the monitor breaks drift down, unless
            `slipway monitor --segment` names others.
        time: A column of times; the newest quarter of the rows is held out (docs/data.md).
        group: A column of groups, such as customers; no group is both learned and held out.
        holdout: A boolean column that says which rows are held out.
        old_data_share: The share of the older rows, 0 to 1, that `slipway retrain` adds to the
            recent labelled traffic; None lets the recent rows decide (docs/retrain.md).
        runtime: What scores the model: `onnx` requires an ONNX form that passes the certificate,
            `sklearn` serves the fitted pipeline itself, and `auto` takes ONNX if it can
            (docs/runtimes.md).
        compression: Fewer leaves per tree, as far as little is lost (docs/deploy-edge.md).
        card: What only a person knows of the model, for its card: `CardNotes(intended_use=...,
            not_for=..., limitations=..., owner=...)` (docs/card.md).
        name: Set from the file's name when the recipe is loaded.

    `slices`, `slice_tolerance`, `segments` and `old_share` are the earlier names of four fields.

    """

    schema: Schema
    target: str | tuple[str, ...]
    task: Task
    load: Callable[[], Any]
    estimator: Callable[[], Any]
    gates: tuple[Gate, ...]
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    unit: str = ""
    description: str = ""
    label_delay: timedelta = timedelta(0)
    drift: SimulatedDrift | None = None
    margin: float = 0.0
    gate_segment_features: tuple[str, ...] = ()
    segment_tolerance: float = 0.0
    latency_factor: float = 10.0
    segment_features: tuple[str, ...] = ()
    old_data_share: float | None = None
    runtime: RuntimeChoice = "auto"
    time: str = ""
    group: str = ""
    holdout: str = ""
    threshold_rule: ThresholdRule | None = None
    tolerance: float | None = None
    compression: Compression | None = None
    card: CardNotes = CardNotes()
    name: str = ""
    slices: InitVar[tuple[str, ...] | None] = None
    slice_tolerance: InitVar[float | None] = None
    segments: InitVar[tuple[str, ...] | None] = None
    old_share: InitVar[float | None] = None

    def __post_init__(
        self,
        slices: tuple[str, ...] | None,
        slice_tolerance: float | None,
        segments: tuple[str, ...] | None,
        old_share: float | None,
    ) -> None:
        given = (slices, slice_tolerance, segments, old_share)
        for (old, new), value in zip(RENAMED.items(), given, strict=True):
            if value is not None:
                warnings.warn(
                    f"Recipe({old}=...) is deprecated; write {new}=...", FutureWarning, stacklevel=3
                )
                object.__setattr__(self, new, value)
        threshold: object = self.threshold
        if isinstance(threshold, ThresholdRule):
            object.__setattr__(self, "threshold_rule", threshold)
            object.__setattr__(self, "threshold", 0.5)
        object.__setattr__(self, "classes", tuple(class_name(each) for each in self.classes))
        names = [normalized(name) for name in self.targets]
        object.__setattr__(self, "target", names[0] if isinstance(self.target, str) else (*names,))
        for field in SPLIT_FIELDS:
            object.__setattr__(self, field, normalized(getattr(self, field)))

    @property
    def is_classifier(self) -> bool:
        """Whether predictions are classes."""
        return self.task != "regression"

    @property
    def decision_rule(self) -> DecisionRule:
        """Which class the model decides for."""
        return DecisionRule(self.task, self.threshold)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that the model predicts, one or more."""
        return (self.target,) if isinstance(self.target, str) else self.target

    def with_threshold(self, threshold: float) -> "Recipe":
        """This recipe with another threshold, such as one that the estimator has learned."""
        return self if threshold == self.threshold else replace(self, threshold=threshold)

    def check(self) -> None:
        """Refuse a recipe that cannot become a service.

        Raises:
            InvalidRecipe: with the field, what was expected and what was found.

        """
        self.schema.check()
        for fault in self._faults():
            raise InvalidRecipe(
                f"recipe {self.name!r}: {fault}", remedy=f"fix training/recipes/{self.name}.py"
            )

    def _faults(self) -> Iterator[str]:
        yield from self._target_faults()
        yield from self._class_faults()
        yield from self._gate_faults()
        yield from self._segment_faults()
        columns = {field: getattr(self, field) for field in SPLIT_FIELDS if getattr(self, field)}
        if len(columns) > 1:
            yield f"{' and '.join(columns)}: expected at most one, since each splits the rows"
        for field, column in columns.items():
            if column in self.targets:
                yield f"{field}: expected a column that is no target, got {column!r}"
        if self.old_data_share is not None and not 0 <= self.old_data_share <= 1:
            yield f"old_data_share: expected 0 to 1, or None, got {self.old_data_share}"
        yield from () if self.compression is None else self.compression.faults()
        if self.runtime not in RUNTIME_CHOICES:
            known = ", ".join(RUNTIME_CHOICES)
            yield f"runtime: expected one of {known}, got {self.runtime!r}"
        if self.tolerance is not None and not 0 < self.tolerance <= MAX_TOLERANCE:
            yield f"tolerance: expected more than 0, up to {MAX_TOLERANCE}, got {self.tolerance}"
        if not self.latency_factor >= 1:
            yield f"latency_factor: expected 1 or more, got {self.latency_factor}"

    def _target_faults(self) -> Iterator[str]:
        if set(self.targets) & set(self.schema.names):
            yield f"target: expected no feature, got {self.target!r}, which is in the schema"
        if self.is_classifier and len(self.targets) != 1:
            yield f"target: expected one for a {self.task} task, got {len(self.targets)}"
        if not self.targets or len(set(self.targets)) < len(self.targets):
            yield "target: expected at least one name, each once"

    def _class_faults(self) -> Iterator[str]:
        n_classes = len(self.classes)
        if self.task == "binary" and n_classes != 2:  # noqa: PLR2004 - that is what binary means
            yield f"classes: expected two for a binary task, got {n_classes}"
        if self.task == "multiclass" and n_classes < 3:  # noqa: PLR2004 - that is what multiclass means
            yield f"classes: expected three or more for a multiclass task, got {n_classes}"
        if self.task == "regression" and n_classes:
            yield "classes: expected none for a regression"
        if len(set(self.classes)) != n_classes:
            yield "classes: expected each once"
        yield from self._threshold_faults()
        if not 0 < self.threshold < 1:
            yield f"threshold: expected 0 < threshold < 1, got {self.threshold}"

    def _threshold_faults(self) -> Iterator[str]:
        rule = self.threshold_rule
        if rule is not None and self.task != "binary":
            yield f"threshold: expected a number for a {self.task} task, got {rule}"
        if isinstance(rule, Cost) and not (0 <= rule.fp < math.inf and 0 <= rule.fn < math.inf):
            yield f"threshold: expected costs of 0 or more, got {rule}"
        if isinstance(rule, Cost) and rule.fp + rule.fn == 0:
            yield f"threshold: expected a cost above 0, got {rule}"
        if isinstance(rule, FScore) and not 0 < rule.beta < math.inf:
            yield f"threshold: expected beta above 0, got {rule}"

    def _gate_faults(self) -> Iterator[str]:
        known = METRICS[self.task]
        unknown = [gate.metric for gate in self.gates if gate.metric not in known]
        if not self.gates:
            yield "gates: expected at least one, since promotion compares on its metric"
        if unknown:
            yield f"gates: expected metrics of {', '.join(known)}, got {', '.join(unknown)}"
        if any(gate.minimum is None and gate.maximum is None for gate in self.gates):
            yield "gates: expected a minimum or a maximum in each"
        if not 0 <= self.margin < math.inf:
            yield f"margin: expected 0 or more, got {self.margin}"

    def _segment_faults(self) -> Iterator[str]:
        categorical = {f.name for f in self.schema.features if f.is_category}
        for field in ("gate_segment_features", "segment_features"):
            features = getattr(self, field)
            if not set(features) <= categorical:
                yield f"{field}: expected categorical features, got {', '.join(features)}"
        if self.gate_segment_features and not 0 < self.segment_tolerance < math.inf:
            yield (
                "segment_tolerance: expected more than 0 with gate_segment_features, "
                f"got {self.segment_tolerance}"
            )


def recipe_names() -> list[str]:
    """The names of the recipes in `training/recipes`."""
    return sorted(p.stem for p in RECIPES_FOLDER.glob("*.py") if not p.stem.startswith("_"))


def load_recipe(name: str) -> Recipe:
    """The recipe of that name, checked.

    Raises:
        InvalidRecipe: there is none, its file does not run, or it cannot become a service.

    """
    if name not in recipe_names():
        raise _unknown(name)
    check_model_name(name)
    recipe = getattr(_imported(name), "recipe", None)
    if not isinstance(recipe, Recipe):
        raise InvalidRecipe(
            f"training/recipes/{name}.py: expected `recipe = Recipe(...)`, got {recipe!r}",
            remedy="see docs/add-a-model.md",
        )
    try:
        named = replace(recipe, name=name)
        named.check()
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise InvalidRecipe(
            f"training/recipes/{name}.py: expected fields of the types in docs/add-a-model.md, "
            f"got {failed_at(err)}",
            remedy="fix the recipe",
        ) from err
    return named


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"training.recipes.{name}")
    except PlatformError:
        raise
    except Exception as err:
        missing = not_installed(err, name)
        raise missing or InvalidRecipe(
            f"training/recipes/{name}.py: expected a file that runs, got {failed_at(err)}",
            remedy="fix the recipe",
        ) from err


def _unknown(name: str) -> InvalidRecipe:
    known = recipe_names()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"write training/recipes/{name}.py"
    return InvalidRecipe(f"recipe: expected one of {', '.join(known)}, got {name!r}", remedy=hint)
