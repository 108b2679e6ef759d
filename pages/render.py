"""Renders Jinja templates; a template is named by its path in this repository.

Templates lie beside the module that uses them and end in `.html.j2`. They begin with
`{% extends "pages/frame.html.j2" %}` and take tables from `pages/tables.html.j2`. Values are
escaped, and a name that was not passed is an error instead of empty text.
"""

from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined


def render(template: str, **values: object) -> str:
    """The text that a template makes of values.

    Args:
        template: a path from the root of the repository,
            like `monitoring/reporting/drift_report.html.j2`.
        values: what the template may name; text is escaped, `markupsafe.Markup` is not.

    Raises:
        jinja2.TemplateNotFound: no package of ours holds such a file.
        jinja2.UndefinedError: the template names a value that was not passed.

    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "p_value": p_value, "minute": minute}
    return environment


def _source(template: str) -> str | None:
    """The text of a template or style sheet in a package; None if there is none."""
    package, _, name = template.partition("/")
    try:
        return resources.files(package).joinpath(name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        return None


def number(value: float | None, spec: str = ",") -> str:
    """A number in Python's format language, or a dash for None.

    >>> number(48210), number(0.0855, ".2%"), number(None)
    ('48,210', '8.55%', '-')
    """
    return "-" if value is None else format(value, spec)


def p_value(value: float) -> str:
    """A p-value in two digits; one too small for a float is shown as a bound, not as 0.

    >>> p_value(0.00312), p_value(0.0)
    ('0.0031', '< 1e-300')
    """
    return f"{value:.2g}" if value else "< 1e-300"


def minute(time: str) -> str:
    """The minute of a document's time, as people write it.

    >>> minute("2026-01-31T12:00:09.123456Z")
    '2026-01-31 12:00'
    """
    return time[:16].replace("T", " ")
