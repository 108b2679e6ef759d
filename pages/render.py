"""Renders Jinja templates; a template is named by its path in this repository.

Templates are next to the module that uses them, and end in `.html.j2`. They begin with
`{% extends "pages/frame.html.j2" %}` and take tables from `pages/tables.html.j2`. Values are
escaped, and a name that was not passed is an error instead of empty text. The functions of
`pages.formats` are filters without their prefix: `{{ rows | number }}`.
"""

from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

from pages.formats import format_count, format_minute, format_number, format_p_value


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
    environment.filters |= {
        "count": format_count,
        "minute": format_minute,
        "number": format_number,
        "p_value": format_p_value,
    }
    return environment


def _source(template: str) -> str | None:
    """The text of a template or style sheet in a package; None if there is none."""
    package, _, name = template.partition("/")
    try:
        return resources.files(package).joinpath(name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        return None
