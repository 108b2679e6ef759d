"""What a user writes: a recipe, one file a model."""

import difflib
import importlib
import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from contracts.decision_rule import DecisionRule
from contracts.errors import InvalidRecipe, PlatformError
from contracts.manifest import Task
from contracts.names import check_model_name
from contracts.schema import Schema
from training.metrics import METRICS

FOLDER = Path(__file__).parent / "recipes"
HOLDOUT_SHARE = 0.25


@dataclass(frozen=True)
class Gate:
    """What a metric on the held-out rows must reach before a version may be promoted."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Recipe:
    """A model in words: from here on everything is derived.

    `load` gives a DataFrame with the schema's features and the `target`. `estimator` gives
    an unfitted scikit-learn estimator or pipeline; it is fed a DataFrame of float32 columns
    named as in the schema, in which categories are codes (`contracts.schema`). For a
    classifier `classes` are the values of the target in the order of the answers; for
    `binary` the second is the positive one, answered from `threshold` on. A regression may
    have several targets; the first is the `prediction`. `drift` changes rows as the world
    might, for demonstrations.

    Promotion compares on the metric of the first gate (docs/gate.md): `margin` is the smallest
    improvement that counts; on each category of the features in `slices` the metric must not
    be worse by `slice_tolerance`, both in the metric's unit; and an answer may take
    `latency_factor` times as long as Production's.

    `old_share` is the share of the rows known before that `slipway retrain` learns beside the
    labelled traffic of late, from 0 to 1; None lets recent rows decide (docs/retrain.md).

    `segments` are category features by whose values the monitor takes a drift apart, unless
    `slipway monitor --segment` names others.
    """

    schema: Schema
    target: str | tuple[str, ...]
    task: Task
    load: Callable[[], pd.DataFrame]
    estimator: Callable[[], Any]
    gates: tuple[Gate, ...]
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    unit: str = ""
    description: str = ""
    label_delay: timedelta = timedelta(0)
    drift: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame] | None = None
    margin: float = 0.0
    slices: tuple[str, ...] = ()
    slice_tolerance: float = 0.0
    latency_factor: float = 10.0
    segments: tuple[str, ...] = ()
    old_share: float | None = None
    name: str = ""

    @property
    def is_classifier(self) -> bool:
        """Whether answers are classes."""
        return self.task != "regression"

    @property
    def decision_rule(self) -> DecisionRule:
        """Which class the model decides for."""
        return DecisionRule(self.task, self.threshold)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that the model shall know, one or more."""
        return (self.target,) if isinstance(self.target, str) else self.target

    def check(self) -> None:
        """Refuse a recipe that cannot become a service.

        Raises:
            InvalidRecipe: with the field, what was expected and what came.

        """
        self.schema.check()
        for fault, found in self._faults().items():
            if found:
                raise InvalidRecipe(
                    f"recipe {self.name!r}: {fault}",
                    remedy=f"mend training/recipes/{self.name}.py",
                )

    def _faults(self) -> dict[str, bool]:
        known = METRICS[self.task]
        strange = [gate.metric for gate in self.gates if gate.metric not in known]
        n_classes = len(self.classes)
        categories = [f.name for f in self.schema.features if f.is_category]
        return {
            f"target: expected no feature, got {self.target!r}, which is in the schema": bool(
                set(self.targets) & set(self.schema.names)
            ),
            f"target: expected one for a {self.task} task, got {len(self.targets)}": (
                self.is_classifier and len(self.targets) != 1
            ),
            "target: expected at least one name, each once": (
                not self.targets or len(set(self.targets)) < len(self.targets)
            ),
            f"classes: expected two for a binary task, got {n_classes}": (
                self.task == "binary" and n_classes != 2  # noqa: PLR2004 - that is what binary means
            ),
            f"classes: expected three or more for a multiclass task, got {n_classes}": (
                self.task == "multiclass" and n_classes < 3  # noqa: PLR2004 - the same
            ),
            "classes: expected none for a regression": (
                self.task == "regression" and n_classes > 0
            ),
            "classes: expected each once": len(set(self.classes)) != n_classes,
            f"threshold: expected 0 < threshold < 1, got {self.threshold}": not (
                0 < self.threshold < 1
            ),
            "gates: expected at least one, since promotion needs a bar": not self.gates,
            f"gates: expected metrics of {', '.join(known)}, got {', '.join(strange)}": bool(
                strange
            ),
            "gates: expected a minimum or a maximum in each": any(
                gate.minimum is None and gate.maximum is None for gate in self.gates
            ),
            f"margin: expected 0 or more, got {self.margin}": not 0 <= self.margin < math.inf,
            f"slices: expected category features, got {', '.join(self.slices)}": not (
                set(self.slices) <= set(categories)
            ),
            f"slice_tolerance: expected more than 0 with slices, got {self.slice_tolerance}": (
                bool(self.slices) and not 0 < self.slice_tolerance < math.inf
            ),
            f"segments: expected category features, got {', '.join(self.segments)}": not (
                set(self.segments) <= set(categories)
            ),
            f"old_share: expected 0 to 1, or None, got {self.old_share}": (
                self.old_share is not None and not 0 <= self.old_share <= 1
            ),
            f"latency_factor: expected 1 or more, got {self.latency_factor}": not (
                self.latency_factor >= 1
            ),
        }


def recipe_names() -> list[str]:
    """The names of the recipes in `training/recipes`."""
    return sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_"))


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
    named = Recipe(**(vars(recipe) | {"name": name}))
    named.check()
    return named


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"training.recipes.{name}")
    except PlatformError:
        raise
    except Exception as err:
        last = traceback.extract_tb(err.__traceback__)[-1]
        raise InvalidRecipe(
            f"training/recipes/{name}.py: expected a file that runs, got {type(err).__name__}: "
            f"{err} ({Path(last.filename).name}, line {last.lineno})",
            remedy="mend the recipe",
        ) from err


def _unknown(name: str) -> InvalidRecipe:
    known = recipe_names()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"write training/recipes/{name}.py"
    return InvalidRecipe(f"recipe: expected one of {', '.join(known)}, got {name!r}", remedy=hint)
