"""Errors that a person can act on.

Each has three parts: what was expected, what came (value and path), what to do.

* PlatformError
  x InvalidDocument      a manifest, pointer, record, verdict that cannot be read
  x InvalidSetting       an environment variable that cannot be read
  x InvalidRecipe        a recipe that breaks the protocol
  x InvalidData          rows or files that break the schema
  x CertificateFailed    the exported model does not answer like the fitted one
  x GateRefused          a version that may not be promoted
  x NotJustified         a retraining that nothing calls for, or not now
  x InvalidSplit         the words of a traffic split that cannot be read
  x NotRegistered        no such model, version or production version
  x RegistryUnreachable  the tracking server does not answer
  x CorruptModel         a model directory that is not what was registered
  x Unwritable           a place that must be written and cannot be
  x PortTaken            an address that another process holds
  x NotFoundHere         a thing named on the command line that does not exist
  x InvalidUsage         a command line with an unknown or missing option, argument or command
"""

import msgspec


class PlatformError(Exception):
    """The root: `what` says what was expected and what came, `remedy` what to do."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\nhelp: {self.remedy}" if self.remedy else self.what


class InvalidDocument(PlatformError):
    """A document at a door could not be read."""


class InvalidSetting(PlatformError):
    """An environment variable is unknown or malformed."""


class InvalidRecipe(PlatformError):
    """A recipe breaks the protocol."""


class InvalidData(PlatformError):
    """Rows or files break the schema."""


class CertificateFailed(PlatformError):
    """The exported model does not answer like the fitted one."""


class GateRefused(PlatformError):
    """A version may not be promoted."""

    exit_code = 3


class NotJustified(PlatformError):
    """Nothing calls for a retraining, or not now, or not with these labels."""

    exit_code = 3


class InvalidSplit(PlatformError):
    """What somebody wrote of a traffic split cannot be read."""


class NotRegistered(PlatformError):
    """No such model, version or production version."""

    exit_code = 4


class RegistryUnreachable(PlatformError):
    """The tracking server does not answer."""

    exit_code = 5


class CorruptModel(PlatformError):
    """A model directory is not what was registered."""

    exit_code = 6


class Unwritable(PlatformError):
    """A place that must be written cannot be."""


class PortTaken(PlatformError):
    """Another process holds the address."""


class NotFoundHere(PlatformError):
    """What was named does not exist."""


class InvalidUsage(PlatformError):
    """A command line that names no known command, or lacks an argument, or has an unknown one."""

    exit_code = 2


def preview(value: object, max_chars: int = 60) -> str:
    """A value for an error text: as JSON spells it, and cut, because a client sent it.

    >>> preview({"age": None}), preview("x" * 10, 8)
    ('{"age":null}', '"xxxxxx…')
    """
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"
