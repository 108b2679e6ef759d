"""Mistakes in a command line (unknown options, missing arguments), in the form of our errors."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import typer

from contracts.errors import InvalidUsage

_EXAMPLE = "Example: "
_EXPECTED = re.compile(r"Input should be (?P<expected>[^,]+)")
_COMMAND = re.compile(r"No such command '(?P<name>.*?)'\.?\s*(?:Did you mean (?P<near>.*)\?)?")
_NO_VALUE = "requires an argument"


def is_help(error: typer.TyperException) -> bool:
    """Whether there were no arguments, so that the help was printed; that is no mistake."""
    return type(error).__name__ == "NoArgsIsHelpError"


def usage_error(error: typer.TyperException, arguments: Sequence[str]) -> InvalidUsage:
    """The error that Typer raised for `arguments`: what was expected, what came, what to do."""
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else " ".join(["slipway", *arguments[:1]])
    what, near = _describe(error, command, arguments)
    epilog = getattr(getattr(context, "command", None), "epilog", None) or ""
    remedies = [f"did you mean {' or '.join(near)}?"] if near else []
    if epilog.startswith(_EXAMPLE):
        remedies.append(f"for example: {epilog.removeprefix(_EXAMPLE)};")
    return InvalidUsage(what, remedy=" ".join([*remedies, f"all options: {command} --help"]))


def _describe(
    error: typer.TyperException, command: str, arguments: Sequence[str]
) -> tuple[str, list[str]]:
    """What is wrong, and spellings that may have been meant."""
    if isinstance(error, typer.BadParameter):
        return _parameter_error(error, arguments), []
    if match := _COMMAND.match(error.message):
        return f"{command}: unknown command {match['name']!r}", (match["near"] or "").split(", ")
    option = getattr(error, "option_name", "")
    if option and _NO_VALUE in error.message:
        return f"{option}: expected a value, got none", []
    if option:
        known = getattr(error, "possibilities", None) or ()
        return f"{command}: unknown option {option}", difflib.get_close_matches(
            option, known, 2, 0.7
        )
    return f"{command}: {error.message[:1].lower()}{error.message[1:].rstrip('.')}", []


def _parameter_error(error: typer.BadParameter, arguments: Sequence[str]) -> str:
    """What a parameter expected and what it got; an empty message means that it got nothing."""
    parameter: Any = error.param
    name = parameter.opts[0] if parameter.opts else str(parameter.name)
    if not name.startswith("-"):
        name = parameter.metavar or parameter.name.upper()
    if not error.message:
        return f"{name}: expected a value, got none"
    match = _EXPECTED.match(error.message)
    value = _value_of(name, arguments)
    if match is None or value is None:
        return f"{name}: {error.message}"
    return f"{name}: expected {match['expected']}, got {value!r}"


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """The value that stands after an option, or behind its equals sign."""
    for index, argument in enumerate(arguments):
        if argument == option:
            return next(iter(arguments[index + 1 :]), None)
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None
