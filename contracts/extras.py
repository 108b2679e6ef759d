"""The optional extras: frameworks that are installed on demand."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Extra:
    """A framework that is installed on demand.

    Attributes:
        name: For people.
        package: Its Python package, which is also the name of the extra.
        distributions: What may be installed to have it; the extra installs the first.
    """

    name: str
    package: str
    distributions: tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Whether the package can be imported here."""
        return find_spec(self.package) is not None

    @property
    def install(self) -> str:
        """The commands that install it."""
        return f'make setup EXTRAS="{self.package}", or pip install .[{self.package}]'

    @property
    def lock(self) -> str:
        """The file of its pinned requirements, from the root of a checkout."""
        return f"requirements/{self.package}.txt"


XGBOOST = Extra("XGBoost", "xgboost", ("xgboost-cpu", "xgboost"))
LIGHTGBM = Extra("LightGBM", "lightgbm", ("lightgbm",))
CATBOOST = Extra("CatBoost", "catboost", ("catboost",))
EXTRAS: Mapping[str, Extra] = {each.package: each for each in (XGBOOST, LIGHTGBM, CATBOOST)}


def extra_of(module: str | None) -> Extra | None:
    """The extra that has a module; None for any other module."""
    return EXTRAS.get((module or "").partition(".")[0])


def extra_that_installs(distribution: str) -> Extra | None:
    """The extra that has a distribution; None for any other one.

    >>> extra_that_installs("xgboost-cpu").package
    'xgboost'
    """
    return next((each for each in EXTRAS.values() if distribution in each.distributions), None)
