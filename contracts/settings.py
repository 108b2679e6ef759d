"""Settings: one frozen dataclass per package, read from the environment once at the start.

Each field names its variable with `setting`. A variable with the prefix of a package that the
package does not declare stops the start: it is most likely a typing error.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from contracts.errors import InvalidSetting

PREFIX = "SLIPWAY_"
PACKAGES = ("SERVICE", "STREAM", "TRAINING", "REGISTRY", "MONITORING")
SHARED = ("SLIPWAY_VAR",)
"""Variables that more than one package reads."""

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})

_T = TypeVar("_T")


class Secret:
    """A string that prints as stars."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"

    __str__ = __repr__


def setting(variable: str, default: object, meaning: str) -> Any:
    """A dataclass field that `load_settings` reads from `variable`; `meaning` is for the docs."""
    return dataclasses.field(default=default, metadata={"variable": variable, "meaning": meaning})


def variables(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a settings class by the name of their variable."""
    return {f.metadata["variable"]: f for f in dataclasses.fields(cls)}


def load_settings(cls: type[_T], environ: Mapping[str, str]) -> _T:
    """The settings class `cls` with the values of `environ`; an empty value means the default.

    Raises:
        InvalidSetting: a value that does not fit its type, or an unknown variable of this
            package.

    """
    declared = variables(cls)
    _refuse_unknown(declared, environ)
    hints = typing.get_type_hints(cls)
    values = {
        field.name: _parse(variable, environ[variable], hints[field.name])
        for variable, field in declared.items()
        if environ.get(variable, "") != ""
    }
    return cls(**values)


def _refuse_unknown(declared: Mapping[str, object], environ: Mapping[str, str]) -> None:
    own = {v.removeprefix(PREFIX).split("_")[0] for v in declared if v not in SHARED}
    others = tuple(f"{PREFIX}{package}_" for package in PACKAGES if package not in own)
    for variable in environ:
        if not variable.startswith(PREFIX) or variable in declared or variable in SHARED:
            continue
        if variable.startswith(others):
            continue
        near = difflib.get_close_matches(variable, declared, n=1)
        known = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(declared))}"
        raise InvalidSetting(f"unknown setting {variable}", remedy=f"{known}; or unset it")


def _parse(variable: str, text: str, hint: object) -> object:
    try:
        return _converted(text, hint)
    except ValueError as err:
        shown = "**********" if hint is Secret else repr(text)
        raise InvalidSetting(
            f"{variable}: expected {_described(hint)}, got {shown}",
            remedy=f"set it to {_described(hint)}, or unset it for the default",
        ) from err


def _converted(text: str, hint: object) -> object:
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if hint is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ValueError(text)
    if typing.get_origin(hint) is typing.Literal:
        if text in typing.get_args(hint):
            return text
        raise ValueError(text)
    if hint in {int, float, str, Path, Secret} and callable(hint):
        return hint(text)
    raise TypeError(f"expected the type of a setting, got {hint}")


def _described(hint: object) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_described(a) for a in typing.get_args(hint) if a is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(
        typing.cast("Any", hint), "a string"
    )
