"""`commands.md`: every command with its arguments, options, defaults and example."""

import re
from collections.abc import Iterator
from typing import Any

import typer.main
from typer import Context

from docs_site.reference.markdown import code, fenced, page_head, prose, table
from slipway.app import app

INTRODUCTION = """\
What `slipway COMMAND --help` prints. [The command line](../cli.md) explains windows of time, JSON
output and exit codes."""
OTHER = "Other"
_DEFAULT = re.compile(r"\s*\[(?:default: (?P<default>[^\]]*)|(?P<required>required))\]\s*$")


def command_page() -> str:
    """The page as Markdown."""
    root: Any = typer.main.get_command(app)
    lines = page_head("Commands", INTRODUCTION)
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in root.commands.items():
        if not command.hidden:
            panels.setdefault(getattr(command, "rich_help_panel", None) or OTHER, []).append(
                (name, command)
            )
    for panel, commands in panels.items():
        lines += [f"## {panel}", ""]
        for name, command in commands:
            lines += _section(f"slipway {name}", command)
    return "\n".join(lines)


def _section(name: str, command: Any) -> Iterator[str]:
    yield from (f"### {name}", "", _plain(prose(command.help)), "")
    inner = getattr(command, "commands", None)
    if inner:
        for word, each in inner.items():
            yield from _section(f"{name} {word}", each)
        return
    context = Context(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    yield from fenced("text", usage)
    rows = [_row(each, context) for each in command.params if not each.hidden]
    if rows:
        yield from table(["argument or option", "default", "meaning"], rows)
    if command.epilog:
        yield from (_plain(command.epilog), "")


def _row(parameter: Any, context: Context) -> list[str]:
    """The names with the type, the default and the meaning of a parameter, as the help has them."""
    names, text = parameter.get_help_record(context)
    found = _DEFAULT.search(text)
    default = (found["default"] or found["required"]) if found else ""
    shown = default if default == "required" else code(default)
    return [code(names), shown, _plain(_DEFAULT.sub("", text))]


def _plain(text: str) -> str:
    """A text of the help, its example as code.

    >>> _plain("Example: slipway doctor")
    'Example: `slipway doctor`'
    """
    before, example, commands = text.partition("Example: ")
    if not example:
        return text
    return f"{before}Example: " + ", or ".join(code(each) for each in commands.split(", or "))
