"""Errors that a person can act on.

Each says what was expected and what came instead (value and path), or what happened; and what
to do about it.

* PlatformError
  x InvalidDocument      a manifest, pointer, record or verdict that cannot be read
  x InvalidSetting       an unknown or malformed environment variable
  x InvalidRecipe        a recipe that breaks the protocol
  x InvalidData          rows or files that do not fit the schema
  x CertificateFailed    the exported model does not answer like the fitted one
  x GateRefused          a version that may not be promoted
    + EvaluationTooSmall   a version on which too few rows could decide
  x NotJustified         a retraining without a reason, or one that must wait
  x InvalidSplit         a traffic split that cannot be parsed
  x NotRegistered        no such model, version or production version
    + NothingInProduction  no model of the registry has a version in production
  x RegistryUnreachable  the tracking server does not answer
  x CorruptModel         a model directory that differs from what was registered
  x Unwritable           a path that must be written and cannot be
  x PortTaken            an address that another process listens on
  x NotFoundHere         a thing named on the command line that does not exist
  x InvalidUsage         a command line with an unknown or missing option, argument or command
  x TooManyRejected      more rows of a file are rejected than is allowed
"""

from math import isinf

from contracts.printable import printable_lines


class PlatformError(Exception):
    """The root: `what` says what is wrong, `remedy` what to do about it; both are printable."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        self.what = printable_lines(what)
        self.remedy = printable_lines(remedy)
        super().__init__(self.what)

    def __str__(self) -> str:
        return f"{self.what}\nhelp: {self.remedy}" if self.remedy else self.what


class InvalidDocument(PlatformError):
    """A document cannot be read."""


class InvalidSetting(PlatformError):
    """An environment variable is unknown or malformed."""


class InvalidRecipe(PlatformError):
    """A recipe breaks the protocol."""


class InvalidData(PlatformError):
    """Rows or files do not fit the schema."""


class CertificateFailed(PlatformError):
    """The exported model does not answer like the fitted one."""


class GateRefused(PlatformError):
    """A version may not be promoted."""

    exit_code = 3


class EvaluationTooSmall(GateRefused):
    """Too few held-out rows to show what the evaluation must: more rows may decide."""


class NotJustified(PlatformError):
    """There is no reason for a retraining, or it must wait, or there are too few labels."""

    exit_code = 3


class InvalidSplit(PlatformError):
    """The text of a traffic split cannot be parsed."""


class NotRegistered(PlatformError):
    """No such model, version or production version."""

    exit_code = 4


class NothingInProduction(NotRegistered):
    """No model of the registry has a version in production."""


class RegistryUnreachable(PlatformError):
    """The tracking server does not answer."""

    exit_code = 5


class CorruptModel(PlatformError):
    """A model directory differs from what was registered."""

    exit_code = 6


class Unwritable(PlatformError):
    """A path that must be written cannot be."""


class PortTaken(PlatformError):
    """Another process listens on the address."""


class NotFoundHere(PlatformError):
    """What the command line names does not exist."""


class InvalidUsage(PlatformError):
    """The command line has an unknown or missing command, option or argument."""

    exit_code = 2


class TooManyRejected(PlatformError):
    """More rows of files are rejected than the command line allows."""

    exit_code = 7


def preview(value: object, max_chars: int = 60) -> str:
    """A value for an error text: spelt as JSON, and cut to `max_chars`.

    >>> preview({"age": None}), preview("x" * 10, 8)
    ('{"age":null}', '"xxxxxx…')
    >>> preview(float("inf")), preview(float("nan"))
    ('infinity, which is beyond float64', 'null')
    """
    if isinstance(value, float) and isinf(value):
        # JSON does not have it, and would spell it as null.
        return f"{'-' if value < 0 else ''}infinity, which is beyond float64"
    # Imported late: the command line shows its help without it, in half the time.
    import msgspec

    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def first_line(err: BaseException) -> str:
    """The first line of an error's text, or the name of its class if it has none.

    >>> first_line(ValueError("bad")), first_line(KeyboardInterrupt())
    ('bad', 'KeyboardInterrupt')
    """
    return next(iter(str(err).splitlines()), type(err).__name__)
